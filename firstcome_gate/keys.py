"""The keys that verify passes: given, or fetched from the room and kept while the room is away.

A rotation leaves no gap: the room publishes a new key before and an old key after its passes, and a pass with an unknown key makes
this process look again, a few times a minute at most. Whoever asks waits only when nothing was ever fetched.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

import httpx

from waiting_room.passes import PassReader

JWKS_PATH = "/.well-known/jwks.json"
FRESH_FOR_S = 300.0
LOOK_AGAIN_AFTER_S = 10.0
WITHIN_S = 3.0


class KeysUnavailable(Exception):
    """The room has never answered, so that no pass can be verified yet."""


class Reader(Protocol):
    """Gives what reads passes with the keys that are known; `token` is the one that is to be read."""

    async def __call__(self, token: str) -> PassReader:
        """Raises KeysUnavailable."""
        ...


def given_keys(jwks: Any) -> Reader:
    """Keys that are known already, as a JSON Web Key Set. Raises ValueError for what is none."""
    reader = PassReader.of_jwks(jwks)

    async def read(token: str) -> PassReader:  # noqa: ARG001 - the keys are what they are
        return reader

    return read


class PublishedKeys:
    """The keys that the room at `url` publishes. `client` sends the requests and stays its owner's."""

    def __init__(self, url: str, client: httpx.AsyncClient, *, fresh_for_s: float = FRESH_FOR_S) -> None:
        self._url = url
        self._client = client
        self._fresh_for_s = fresh_for_s
        self._reader: PassReader | None = None
        self._document: Any = None
        self._fetched_at = 0.0
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def __call__(self, token: str) -> PassReader:
        """What reads passes now. Raises KeysUnavailable."""
        if self._reader is None or not self._reader.knows(token):
            await self._look_again()
        elif time.monotonic() - self._fetched_at > self._fresh_for_s:
            self._begin()  # the old ones serve meanwhile
        if self._reader is None:
            raise KeysUnavailable("the room's keys could not be fetched")
        return self._reader

    async def _look_again(self) -> None:
        if (fetching := self._begin()) is not None:
            await asyncio.shield(fetching)

    def _begin(self) -> asyncio.Task[None] | None:
        """The fetch that is under way; a new one, unless the last try is too near."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        waits = LOOK_AGAIN_AFTER_S if self._reader is not None else 1.0
        if time.monotonic() - self._tried_at < waits:
            return None
        self._tried_at = time.monotonic()
        self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        """Replace the keys if the room tells others; what it does not tell leaves them as they are."""
        try:
            answer = await self._client.get(self._url, timeout=WITHIN_S)
            answer.raise_for_status()
            document = answer.json()
            if document != self._document:
                self._reader, self._document = PassReader.of_jwks(document), document
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, ValueError):
            return

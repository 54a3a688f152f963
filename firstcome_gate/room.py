"""What the middleware asks of the room: the sealed way back for somebody without a pass, and the pass behind a one-time code."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from firstcome_gate import names

WITHIN_S = 3.0


class RoomAway(Exception):
    """The room does not answer, or not as it should. Try again."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who came back from the room: their pass, and the path of the site that they had asked for."""

    token: str
    to: str


class RoomCalls:
    """Asks the room at `origin` about one sale, in the name of `site`. `client` stays its owner's."""

    def __init__(self, origin: str, sale_id: str, site: str, client: httpx.AsyncClient) -> None:
        self._origin = origin
        self._asked = {"sale_id": sale_id, "site": site, "answer": "401"}
        self._site = site
        self._client = client

    async def way_in(self, target: str, nonce_hash: str | None) -> str:
        """The address in the room from which a buyer comes back to `target`, a path with its query; with a hash, in this browser alone.

        Raises RoomAway.
        """
        asked = self._asked | ({"nonce_hash": nonce_hash} if nonce_hash else {})
        headers = {"Accept": "text/html", "X-Forwarded-Method": "GET", "X-Forwarded-Uri": target}
        try:
            answer = await self._client.get(
                f"{self._origin}/gate/verify", params=asked, headers=headers, timeout=WITHIN_S
            )
        except httpx.HTTPError as fault:
            raise RoomAway("the room does not answer") from fault
        where = answer.headers.get(names.ROOM)
        if answer.status_code != 401 or not where:
            raise RoomAway(f"the room answered {answer.status_code} about the way in")
        return str(where)

    async def exchange(self, code: str, nonce: str) -> Arrival | None:
        """The pass behind a code, once; None for a code that is not good, no longer, or another browser's. Raises RoomAway."""
        told = {"code": code, "site": self._site, "nonce": nonce}
        try:
            answer = await self._client.post(f"{self._origin}/gate/exchange", json=told, timeout=WITHIN_S)
            if answer.status_code == 403:
                return None
            body = answer.raise_for_status().json()
            return Arrival(body["pass"], body["to"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as fault:
            raise RoomAway("the room does not answer as it should") from fault

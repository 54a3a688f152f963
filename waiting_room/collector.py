"""Runs scripts: all that are asked for in one turn of the event loop travel to Redis together.

Waiting is bounded at every point: a batch has a deadline, few batches are under way, and what waits when Redis fails fails with it.
Every fault of Redis becomes one refusal here (RoomUnavailable, unless its user has another); nothing is sent twice except a script that the server did not know, which
therefore did not run. Knows no keys and no meanings.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from waiting_room.refusals import RoomUnavailable
from waiting_room.scripts import source

log = structlog.get_logger(__name__)

MOST_IN_BATCH = 128
MOST_UNDER_WAY = 4
MOST_PENDING = 4_096
RETRY_AFTER_S = (1, 4)

Key = str | bytes
Argument = str | int | bytes


@dataclass(slots=True)
class _Call:
    script: str
    keys: Sequence[Key]
    args: Sequence[Argument]
    answer: asyncio.Future[Any]


class Collector:
    """`await run(script, keys, args)` gives the answer of a script that returns text, `ask` any answer. Belongs to one event loop.

    `source` gives a script's text by its name, `refuse` makes the refusal out of a few words.
    """

    def __init__(
        self,
        client: Redis,
        *,
        within_s: float,
        source: Callable[[str], str] = source,
        refuse: Callable[[str], Exception] | None = None,
    ) -> None:
        self._client = client
        self._within_s = within_s
        self._source = source
        self._refusal = refuse or unavailable
        self._pending: deque[_Call] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._flush_due = False
        self._shas: dict[str, str] = {}
        self._failing = False

    async def run(self, script: str, keys: Sequence[Key], args: Sequence[Argument]) -> str:
        """As `ask`, for scripts that return text."""
        text: str = await self.ask(script, keys, args)
        return text

    async def ask(self, script: str, keys: Sequence[Key], args: Sequence[Argument]) -> Any:
        """Keys that are bytes travel as they are. Raises RoomUnavailable (or what `refuse` makes) when Redis does not answer in time, or too much waits already."""
        return await self.submit(script, keys, args)

    def submit(self, script: str, keys: Sequence[Key], args: Sequence[Argument]) -> asyncio.Future[Any]:
        """As `ask`, for who waits in another way; that too much waits already is raised at once."""
        if len(self._pending) >= MOST_PENDING:
            raise self._refusal("too many requests wait for the line's store")
        loop = asyncio.get_running_loop()
        call = _Call(script, keys, args, loop.create_future())
        self._pending.append(call)
        if not self._flush_due:
            self._flush_due = True
            loop.call_soon(self._flush)
        return call.answer

    def _flush(self) -> None:
        self._flush_due = False
        while self._pending and len(self._under_way) < MOST_UNDER_WAY:
            batch = [self._pending.popleft() for _ in range(min(MOST_IN_BATCH, len(self._pending)))]
            batch = [call for call in batch if not call.answer.done()]  # whoever asked may have gone
            if batch:
                task = asyncio.get_running_loop().create_task(self._send(batch))
                self._under_way.add(task)
                task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._pending and not task.get_loop().is_closed():
            self._flush()

    async def _send(self, batch: list[_Call]) -> None:
        try:
            async with asyncio.timeout(self._within_s):
                unknown = self._settle(batch, await self._exchange(batch))
                if unknown:
                    await self._teach(unknown)
                    self._settle(unknown, await self._exchange(unknown), final=True)
        except (RedisError, OSError, TimeoutError) as fault:
            self._note(fault)
            self._fail(batch)
        else:
            self._note(None)
        finally:
            for call in batch:  # a cancelled batch leaves nobody waiting
                if not call.answer.done():
                    call.answer.cancel()

    def _note(self, fault: Exception | None) -> None:
        """Tell the log when Redis stops answering and when it answers again, not for every request of a crowd."""
        if fault is not None and not self._failing:
            log.warning("redis_unavailable", fault=f"{type(fault).__name__}: {fault}")
        elif fault is None and self._failing:
            log.info("redis_available_again")
        self._failing = fault is not None

    def _fail(self, batch: list[_Call]) -> None:
        for call in (*batch, *self._pending):
            _refuse(call, self._refusal("the line's store does not answer"))
        self._pending.clear()

    async def _exchange(self, batch: list[_Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in batch:
            sha = self._shas.get(call.script) or self._sha(call.script)
            keys = call.keys if isinstance(call.keys[0], bytes) else wire(tuple(call.keys))
            pipeline.evalsha(sha, len(keys), *keys, *call.args)
        return await pipeline.execute(raise_on_error=False)

    async def _teach(self, calls: list[_Call]) -> None:
        for script in {call.script for call in calls}:
            await self._client.script_load(self._source(script))

    def _sha(self, script: str) -> str:
        sha = hashlib.sha1(self._source(script).encode(), usedforsecurity=False).hexdigest()
        self._shas[script] = sha
        return sha

    def _settle(self, calls: list[_Call], replies: list[Any], *, final: bool = False) -> list[_Call]:
        """Hand out the answers; returns the calls whose script the server does not know yet."""
        unknown: list[_Call] = []
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, NoScriptError) and not final:
                unknown.append(call)
            elif isinstance(reply, Exception):
                log.error("script_failed", script=call.script, fault=str(reply))
                _refuse(call, self._refusal("the line's store refused a step"))
            elif not call.answer.done():
                call.answer.set_result(reply)
        return unknown


@lru_cache(maxsize=1024)
def wire(keys: tuple[Key, ...]) -> tuple[bytes, ...]:
    """The same few keys travel with every call: encoding them each time would cost more than everything else about it."""
    return tuple(key.encode() if isinstance(key, str) else key for key in keys)


def _refuse(call: _Call, fault: Exception) -> None:
    if not call.answer.done():
        call.answer.set_exception(fault)


def unavailable(what: str) -> RoomUnavailable:
    """The refusal with a jittered time to come back, so that a crowd does not come back at once."""
    return RoomUnavailable(what, retry_after_s=random.randint(*RETRY_AFTER_S))

"""Joins of one line travel together: one script serves many buyers, in the order in which they came.

Reading the sale is most of what a join costs Redis, and it is the same for all. So while one script is under way, those who come
meanwhile wait for the next, which takes them all. Knows no keys and no refusals but that of a store that does not answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog

from waiting_room.collector import MOST_PENDING, Argument, Collector, Key, unavailable, wire
from waiting_room.place import Around, Scene, scene_of
from waiting_room.refusals import RoomUnavailable

log = structlog.get_logger(__name__)

# So many take Redis about a millisecond; nobody else is served meanwhile.
MOST_TOGETHER = 64
_MOST_UNDER_WAY = 1
# Of a store that is slow, the last of a crowd would else wait for the answers to all before them.
PATIENCE_S = 5.0


class Joined(NamedTuple):
    """What the script said to one buyer (scripts/join.lua), and the sale around all of the same script, if it could be read."""

    answer: str
    scene: Scene | None


class _Join(NamedTuple):
    door: Sequence[str]
    args: Sequence[Argument]
    answer: asyncio.Future[Joined]
    asked_s: float


@dataclass(slots=True)
class _Line:
    keys: tuple[bytes, ...]
    waiting: deque[_Join] = field(default_factory=deque)
    due: bool = False
    under_way: int = 0


class Joining:
    """`join(sale_id, keys, door, args)` gives what the script says to one buyer. Belongs to one event loop."""

    def __init__(self, scripts: Collector) -> None:
        self._scripts = scripts
        self._lines: dict[str, _Line] = {}
        self._inside = 0

    async def join(
        self, sale_id: str, keys: Sequence[str], door: Sequence[str], args: Sequence[Argument]
    ) -> Joined:
        """`keys` are those of the sale, `door` and `args` the buyer's. Raises RoomUnavailable."""
        if self._inside >= MOST_PENDING:
            raise unavailable("too many joins wait for the line's store")
        loop = asyncio.get_running_loop()
        line = self._lines.get(sale_id)
        if line is None:
            line = self._lines[sale_id] = _Line(wire(tuple(keys)))
        answer: asyncio.Future[Joined] = loop.create_future()
        line.waiting.append(_Join(door, args, answer, loop.time()))
        if not line.due:
            line.due = True
            loop.call_soon(self._send, line)
        self._inside += 1
        try:
            return await answer
        finally:
            self._inside -= 1

    def _send(self, line: _Line) -> None:
        line.due = False
        while line.waiting and line.under_way < _MOST_UNDER_WAY:
            some = [line.waiting.popleft() for _ in range(min(MOST_TOGETHER, len(line.waiting)))]
            late_s = asyncio.get_running_loop().time() - PATIENCE_S
            _refuse([join for join in some if join.asked_s < late_s], "the line's store is slow")
            together = [join for join in some if not join.answer.done()]  # whoever asked may have gone
            if together:
                self._send_together(line, together)

    def _send_together(self, line: _Line, together: list[_Join]) -> None:
        keys: list[Key] = [*line.keys]
        args: list[Argument] = []
        for join in together:
            keys += [key.encode() for key in join.door]
            args += join.args
        try:
            reply = self._scripts.submit("join", keys, args)
        except RoomUnavailable as fault:
            _refuse(together, str(fault))
            return
        line.under_way += 1
        reply.add_done_callback(partial(self._told, line, together))

    def _told(self, line: _Line, together: list[_Join], reply: asyncio.Future[Any]) -> None:
        line.under_way -= 1
        if reply.cancelled():
            for join in (*together, *line.waiting):
                join.answer.cancel()
            line.waiting.clear()
        elif (fault := reply.exception()) is not None:
            _refuse(
                (*together, *line.waiting), str(fault)
            )  # who does not answer these does not answer the rest
            line.waiting.clear()
        else:
            _hand_out(together, reply.result())
        self._send(line)


def _hand_out(together: Sequence[_Join], reply: str | list[str]) -> None:
    if isinstance(reply, str):
        scene, answers = None, [reply] * len(together)
    else:
        try:
            scene, answers = scene_of(msgspec.json.decode(reply[0], type=Around)), reply[1:]
        except msgspec.DecodeError as fault:
            log.error("sale_unreadable", fault=str(fault))
            _refuse(together, "what the line's store says cannot be read")
            return
    for join, answer in zip(together, answers, strict=True):
        if not join.answer.done():
            join.answer.set_result(Joined(answer, scene))


def _refuse(joins: Sequence[_Join], why: str) -> None:
    """Each with a time of its own to come back at."""
    for join in joins:
        if not join.answer.done():
            join.answer.set_exception(unavailable(why))

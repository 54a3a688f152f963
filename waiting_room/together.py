"""Who asks the same of one line at the same moment travels together: one script serves many, in the order in which they came.

Reading the sale is most of what a join or a poll costs Redis, and it is the same for all. So while one script is under way, those
who come meanwhile wait for the next, which takes them all. Knows no keys and no refusals but that of a store that does not answer.
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


class Said(NamedTuple):
    """What the script said to one buyer (scripts/_shared.lua, serve_all), and the sale around all that it served, if it could be
    read.
    """

    answer: str
    scene: Scene | None


class _Asked(NamedTuple):
    keys: Sequence[str]
    args: Sequence[Argument]
    answer: asyncio.Future[Said]
    at_s: float


@dataclass(slots=True)
class _Line:
    keys: tuple[bytes, ...]
    waiting: deque[_Asked] = field(default_factory=deque)
    due: bool = False
    under_way: int = 0


class Together:
    """`ask(sale_id, keys, args)` gives what the script of this name says to one buyer. Belongs to one event loop."""

    def __init__(self, scripts: Collector, script: str) -> None:
        self._scripts = scripts
        self._script = script
        self._lines: dict[str, _Line] = {}
        self._inside = 0

    async def ask(
        self, sale_id: str, keys: Sequence[str], args: Sequence[Argument], own_keys: Sequence[str] = ()
    ) -> Said:
        """`keys` are those of the sale, `args` and `own_keys` the buyer's. Raises RoomUnavailable."""
        if self._inside >= MOST_PENDING:
            raise unavailable("too many wait for the line's store")
        loop = asyncio.get_running_loop()
        line = self._lines.get(sale_id)
        if line is None:
            line = self._lines[sale_id] = _Line(wire(tuple(keys)))
        answer: asyncio.Future[Said] = loop.create_future()
        line.waiting.append(_Asked(own_keys, args, answer, loop.time()))
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
            _refuse([asked for asked in some if asked.at_s < late_s], "the line's store is slow")
            together = [asked for asked in some if not asked.answer.done()]  # whoever asked may have gone
            if together:
                self._send_together(line, together)

    def _send_together(self, line: _Line, together: list[_Asked]) -> None:
        keys: list[Key] = [*line.keys]
        args: list[Argument] = []
        for asked in together:
            keys += asked.keys
            args += asked.args
        try:
            reply = self._scripts.submit(self._script, keys, args)
        except RoomUnavailable as fault:
            _refuse(together, str(fault))
            return
        line.under_way += 1
        reply.add_done_callback(partial(self._told, line, together))

    def _told(self, line: _Line, together: list[_Asked], reply: asyncio.Future[Any]) -> None:
        line.under_way -= 1
        if reply.cancelled():
            for asked in (*together, *line.waiting):
                asked.answer.cancel()
            line.waiting.clear()
        elif (fault := reply.exception()) is not None:
            _refuse(
                (*together, *line.waiting), str(fault)
            )  # who does not answer these does not answer the rest
            line.waiting.clear()
        else:
            _hand_out(together, reply.result())
        self._send(line)


def _hand_out(together: Sequence[_Asked], reply: str | list[str]) -> None:
    if isinstance(reply, str):
        scene, answers = None, [reply] * len(together)
    else:
        try:
            scene, answers = scene_of(msgspec.json.decode(reply[0], type=Around)), reply[1:]
        except msgspec.DecodeError as fault:
            log.error("sale_unreadable", fault=str(fault))
            _refuse(together, "what the line's store says cannot be read")
            return
    for asked, answer in zip(together, answers, strict=True):
        if not asked.answer.done():
            asked.answer.set_result(Said(answer, scene))


def _refuse(askers: Sequence[_Asked], why: str) -> None:
    """Each with a time of its own to come back at."""
    for asked in askers:
        if not asked.answer.done():
            asked.answer.set_exception(unavailable(why))

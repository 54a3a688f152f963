"""A way to a server on which answers come late, get lost, or break off: a small proxy between a port of this machine and a socket.

`Way` runs on an event loop of whoever uses it; `WayProcess` is one in a process of its own, told what to do line by line, so that a
busy crowd does not slow it down. Knows neither Redis nor MySQL: it looks for bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import uvloop

from firstcome.private_server import dying_with_parent

PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Condition:
    """What the way is like. `delay_s`: there and back together. `refusing`: new connections end at once.

    `deaf_to`: a request that holds these words is handed on, and instead of the answer its connection ends; `times` of them.
    """

    delay_s: float = 0.0
    refusing: bool = False
    deaf_to: str = ""
    times: int = 0


class Way:
    """Hands everything on between `port` and the server's socket, as `condition` says. An asynchronous context manager."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._condition = Condition()
        self.lost = 0  # answers that were lost on purpose under this condition
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = int(self._listening.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._open):
            await _closed(writer)

    def become(self, condition: Condition) -> None:
        """Be like this from now on."""
        self.lost, self._condition = 0, condition

    def cut(self) -> int:
        """Break off every connection; how many there were."""
        ends = list(self._open)
        for writer in ends:
            writer.transport.abort()
        return len(ends) // 2

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._condition.refusing:
            writer.transport.abort()
            return
        try:
            back, there = await asyncio.open_unix_connection(str(self._server))
        except OSError:  # the server is away, as it is for whoever asks
            writer.transport.abort()
            return
        self._open |= {writer, there}
        deaf = asyncio.Event()
        for pump in (self._ask(reader, there, deaf), self._answer(back, writer, there, deaf)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                await self._pause()
                if self._loses_the_answer_to(piece):
                    deaf.set()
                target.write(piece)
                await target.drain()
        await self._end(target)

    async def _answer(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        there: asyncio.StreamWriter,
        deaf: asyncio.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                await self._pause()
                if deaf.is_set():
                    there.transport.abort()
                    break
                target.write(piece)
                await target.drain()
        await self._end(target)

    def _loses_the_answer_to(self, piece: bytes) -> bool:
        wanted = self._condition
        if not wanted.deaf_to or self.lost >= wanted.times or wanted.deaf_to.encode() not in piece:
            return False
        self.lost += 1
        return True

    async def _pause(self) -> None:
        if self._condition.delay_s:
            await asyncio.sleep(self._condition.delay_s / 2)

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class WayProcess:
    """A `Way` in a process of its own, ended with this one. `port` is known once it has started."""

    def __init__(self, server: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.ways", str(server)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=dying_with_parent(),
        )
        self.port = self._answered()

    def become(self, condition: Condition) -> None:
        """Be like this from now on."""
        self._told({"become": asdict(condition)})

    def cut(self) -> int:
        """Break off every connection; how many there were."""
        return self._told({"cut": True})

    def lost(self) -> int:
        """How many answers were lost on purpose under the present condition."""
        return self._told({})

    def stop(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _told(self, words: dict[str, object]) -> int:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answered()

    def _answered(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


async def _serve(server: Path) -> None:
    """Print the port, then do what each line of standard input says and answer it by a number, until there are no more lines."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
    )
    async with Way(server) as way:
        print(way.port, flush=True)
        async for line in lines:
            told = json.loads(line)
            if "become" in told:
                way.become(Condition(**told["become"]))
            print(way.cut() if "cut" in told else way.lost, flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))

"""Live streams for those who watch a sale: one picture a second and process, however many watch, and an end to every stream.

While anybody watches a sale, one task renews its picture; every stream sends the same bytes. Streams are bounded in number, end
with their session, and end when the process does. Knows server-sent events, but neither figures nor requests.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import structlog

from gateway.refusals import Overloaded

log = structlog.get_logger(__name__)

# Sent to a worker process before it is asked to end.
END_IS_NEAR = signal.SIGUSR1
EVERY_S = 1.0
SESSIONS_EVERY_S = 2.0
MOST_STREAMS = 64
# What a browser waits before it connects again, ms.
RETRY_MS = 2000

Look = Callable[[str], Awaitable[bytes]]
LiveSessions = Callable[[Collection[str]], Awaitable[set[str]]]


class _Picture:
    """What the streams of one sale send; `event` is empty until it was looked at for the first time."""

    def __init__(self) -> None:
        self.event = b""
        self.streams: set[_Stream] = set()
        self.task: asyncio.Task[None] | None = None

    def show(self, event: bytes) -> None:
        self.event = event
        for stream in self.streams:
            stream.news.set()


class _Stream:
    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.news = asyncio.Event()
        self.over = False

    def end(self) -> None:
        self.over = True
        self.news.set()


class Watch:
    """`look` gives a sale's picture as JSON and raises what it cannot; `live_sessions` those of some sessions that still live."""

    def __init__(
        self, look: Look, live_sessions: LiveSessions, *, every_s: float = EVERY_S, most: int = MOST_STREAMS
    ) -> None:
        self._look = look
        self._live_sessions = live_sessions
        self._every_s = every_s
        self._most = most
        self._pictures: dict[str, _Picture] = {}
        self._guard: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def streams(self) -> int:
        """How many are open in this process."""
        return sum(len(picture.streams) for picture in self._pictures.values())

    def watch(self, sale: str, session_id: str) -> AsyncIterator[bytes]:
        """The stream of a sale for one session. Raises Overloaded when as many are open as this process takes."""
        if self._closed or self.streams >= self._most:
            raise Overloaded("too many watch at once; ask for the figures instead", retry_after_s=5)
        return self._events(sale, _Stream(session_id))

    def close_when_told(self) -> None:
        """Close when this process is told END_IS_NEAR: a server waits for the end of what it answers."""
        if threading.current_thread() is threading.main_thread():  # elsewhere no signal would be heard
            asyncio.get_running_loop().add_signal_handler(END_IS_NEAR, self.close)

    def close(self) -> None:
        """End every stream, and begin no other."""
        self._closed = True
        for picture in self._pictures.values():
            for stream in picture.streams:
                stream.end()

    async def _events(self, sale: str, stream: _Stream) -> AsyncIterator[bytes]:
        picture = self._begin(sale, stream)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while not stream.over:
                await stream.news.wait()
                stream.news.clear()
                if picture.event and not stream.over:
                    yield picture.event
        finally:
            self._forget(sale, picture, stream)

    def _begin(self, sale: str, stream: _Stream) -> _Picture:
        """Counted from its first event on: an answer that nobody waited for any more never begins, and so never ends."""
        picture = self._pictures.setdefault(sale, _Picture())
        picture.streams.add(stream)
        if picture.task is None:
            picture.task = asyncio.create_task(self._renew(sale, picture), name=f"figures of {sale}")
        stream.news.set()
        if self._guard is None:
            self._guard = asyncio.create_task(self._end_with_sessions(), name="sessions of streams")
        return picture

    def _forget(self, sale: str, picture: _Picture, stream: _Stream) -> None:
        picture.streams.discard(stream)
        if not picture.streams and picture.task is not None:
            picture.task.cancel()
            self._pictures.pop(sale, None)
        if not self._pictures and self._guard is not None:
            self._guard.cancel()
            self._guard = None

    async def _renew(self, sale: str, picture: _Picture) -> None:
        """A picture each second; a comment while there is none to have, so that a dead connection is noticed by both sides."""
        failing = False
        while True:
            try:
                picture.show(b"data: " + await self._look(sale) + b"\n\n")
                failing = False
            except Exception as error:  # noqa: BLE001 - whatever a store raises: those who watch go on when it is back
                if not failing:
                    log.warning("figures_not_renewed", sale=sale, error=str(error))
                failing = True
                picture.show(b": nothing new\n\n")
            await asyncio.sleep(self._every_s)

    async def _end_with_sessions(self) -> None:
        """One question for all streams of this process."""
        while True:
            await asyncio.sleep(SESSIONS_EVERY_S)
            streams = [stream for picture in self._pictures.values() for stream in picture.streams]
            try:
                live = await self._live_sessions({stream.session_id for stream in streams})
            except Exception as error:  # noqa: BLE001 - nobody is sent away because a store is
                log.warning("sessions_not_checked", error=str(error))
                continue
            for stream in streams:
                if stream.session_id not in live:
                    stream.end()

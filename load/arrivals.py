"""Requests that arrive at a given pace, whether the server keeps up or not; each one's time counts from its arrival.

For rates of some thousands a second at most; what shall run as fast as it can is asked by `load/generator.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import uvloop

CONNECTIONS = 64
LATE_S = 30.0


@dataclass(slots=True)
class Answer:
    """What came back: seconds since the arrival, the moment (time.perf_counter), the status and the body."""

    took_s: float
    at: float
    status: int
    body: bytes


def arrive(port: int, requests: Sequence[bytes], per_second: float) -> list[Answer]:
    """Send each request once at that pace over a few kept connections; their answers in the order of arrival."""
    return uvloop.run(_arrive(port, requests, per_second))


async def _arrive(port: int, requests: Sequence[bytes], per_second: float) -> list[Answer]:
    loop = asyncio.get_running_loop()
    free: deque[_Connection] = deque()
    waiting: deque[tuple[bytes, float, asyncio.Future[Answer]]] = deque()

    def released(connection: _Connection) -> None:
        if waiting:
            connection.ask(*waiting.popleft())
        else:
            free.append(connection)

    connections = [
        (await loop.create_connection(lambda: _Connection(released), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    free.extend(connections)
    answers = []
    began = time.perf_counter()
    for at, request in enumerate(requests):
        due = began + at / per_second
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        answer: asyncio.Future[Answer] = loop.create_future()
        answers.append(answer)
        if free:
            free.popleft().ask(request, due, answer)
        else:
            waiting.append((request, due, answer))
    try:
        return await asyncio.wait_for(asyncio.gather(*answers), LATE_S)
    finally:
        for connection in connections:
            connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self, released: Callable[[_Connection], None]) -> None:
        self._released = released
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, due: float, answer: asyncio.Future[Answer]) -> None:
        self._due, self._answer, self._received = due, answer, b""
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        now = time.perf_counter()
        if not self._answer.done():
            self._answer.set_result(Answer(now - self._due, now, int(head[9:12]), body))
        self._released(self)

    def connection_lost(self, error: Exception | None) -> None:
        if hasattr(self, "_answer") and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server closed the connection"))


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0

"""A store that answers slowly, and then not at all, and then again: bounded waits, clear refusals, and everything goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from firstcome import clients
from firstcome.servers import PrivateRedis
from tests.promises.one_sale import OneSale, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.controller import Controller
from waiting_room.refusals import RoomUnavailable

STOCK = {"version": "1", "allotted": "1000", "held": "0", "sold": "0"}
WITHIN_S = 15.0
BOUND_S = 3.0


class SlowWay:
    """Hands everything on between a port of this machine and the server's socket, each piece after `delay_s`."""

    def __init__(self, server: PrivateRedis) -> None:
        self._server = server
        self.delay_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> SlowWay:
        self._listening = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_unix_connection(str(self._server.socket))
        self._writers += (writer, there)
        self._tasks |= {asyncio.create_task(self._pump(*way)) for way in ((reader, there), (back, writer))}

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65_536):
                await asyncio.sleep(self.delay_s / 2)
                target.write(piece)
                await target.drain()
            target.close()


@pytest.fixture
async def way(redis_server: PrivateRedis, redis_async: Redis) -> AsyncIterator[SlowWay]:
    async with SlowWay(redis_server) as way:
        yield way


async def test_a_line_goes_on_over_a_slow_store_refuses_over_a_hanging_one_and_goes_on_again(
    way: SlowWay, redis_async: Redis, tmp_path: Path
) -> None:
    books, client = PaperBooks(tmp_path / "books.sqlite", way.url), clients.redis_async(way.url)
    far, near = OneSale(client), OneSale(redis_async)
    books.open_sale(far.sale_id, settings_fields(calls_per_minute=600, capacity=10_000), STOCK)
    stop = asyncio.Event()
    running = asyncio.create_task(Controller(far.room, books, token="ours~1").run(stop))

    async def joined(name: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                with contextlib.suppress(RoomUnavailable):
                    await far.room.join(far.sale_id, ticket_of(name))
                    return
                await asyncio.sleep(0.05)

    async def called(name: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                if await near.state(name) == "called":
                    return
                await asyncio.sleep(0.05)

    await joined("ann")
    await called("ann")
    way.delay_s = 0.2
    await joined("bob")
    await called("bob")

    way.delay_s = 30.0
    async with asyncio.timeout(BOUND_S):
        asked = [far.room.look(far.sale_id, ticket_of("bob")) for _ in range(200)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, RoomUnavailable) for answer in answers)

    way.delay_s = 0.0
    await joined("cleo")
    await called("cleo")
    rows = await near.room.read_calls(near.sale_id, 100)
    numbers = books.numbers_called() + [row.number for row in rows if row.event == "call"]
    assert len(set(numbers)) == 3, "whatever was sent twice, everybody was called once"
    stop.set()
    await running
    await books.close()
    await client.aclose()

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
from tests.faults.ways import Condition, Way
from tests.promises.one_sale import OneSale, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.controller import Controller
from waiting_room.refusals import RoomUnavailable

STOCK = {"version": "1", "allotted": "1000", "held": "0", "sold": "0"}
WITHIN_S = 30.0
# A client gives the store a second; the rest is for a busy machine.
BOUND_S = 15.0
HANGING = Condition(delay_s=120.0)


@pytest.fixture
async def way(redis_server: PrivateRedis, redis_async: Redis) -> AsyncIterator[Way]:
    async with Way(redis_server.socket) as way:
        yield way


async def test_a_line_goes_on_over_a_slow_store_refuses_over_a_hanging_one_and_goes_on_again(
    way: Way, redis_async: Redis, tmp_path: Path
) -> None:
    url = f"redis://127.0.0.1:{way.port}/0"
    books, client = PaperBooks(tmp_path / "books.sqlite", url), clients.redis_async(url)
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
    way.become(Condition(delay_s=0.2))
    await joined("bob")
    await called("bob")

    way.become(HANGING)
    async with asyncio.timeout(BOUND_S):
        asked = [far.room.look(far.sale_id, ticket_of("bob")) for _ in range(200)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, RoomUnavailable) for answer in answers)

    way.become(Condition())
    await joined("cleo")
    await called("cleo")
    rows = await near.room.read_calls(near.sale_id, 100)
    numbers = books.numbers_called() + [row.number for row in rows if row.event == "call"]
    assert len(set(numbers)) == 3, "whatever was sent twice, everybody was called once"
    stop.set()
    await running
    await books.close()
    await client.aclose()

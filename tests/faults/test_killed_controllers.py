"""Controllers killed -9, stopped, doubled and left with an emptied store: each is a process of its own, on one Redis and one set of books."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.promises.one_sale import OneSale, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.clock import LONGEST_STEP_MS
from waiting_room.leadership import TRIES_PER_LEASE, Timing
from waiting_room.place import Place
from waiting_room.refusals import RoomUnavailable
from waiting_room.ticket import Ticket

PER_MINUTE = 600
STOCK = {"version": "1", "allotted": "100000", "held": "0", "sold": "0"}
WITHIN_S = 30.0
CROWD = 2_000

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
async def books(redis_server: PrivateRedis, tmp_path: Path) -> AsyncIterator[PaperBooks]:
    kept = PaperBooks(tmp_path / "books.sqlite", redis_server.url)
    yield kept
    await kept.close()


@pytest.fixture
async def sale(redis_async: Redis, books: PaperBooks) -> OneSale:
    kept = OneSale(redis_async)
    settings = settings_fields(calls_per_minute=PER_MINUTE, capacity=100_000)
    books.open_sale(kept.sale_id, settings, STOCK)
    return kept


@pytest.fixture
async def start(redis_server: PrivateRedis, tmp_path: Path) -> AsyncIterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(token: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.promises.paper_books"]
        path = str(tmp_path / "books.sqlite")
        with (tmp_path / f"{token}.log").open("ab") as log:
            process = subprocess.Popen([*command, redis_server.url, path, token], stdout=log, stderr=log)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


async def leader(sale: OneSale) -> str | None:
    token = await sale.client.get(sale.keys.lease)
    return None if token is None else str(token)


async def until_leader(sale: OneSale, *tokens: str) -> str:
    """Wait until one of these leads."""
    loop = asyncio.get_running_loop()
    end = loop.time() + WITHIN_S
    while loop.time() < end:
        token = await leader(sale)
        if token in tokens:
            return str(token)
        await asyncio.sleep(0.01)
    pytest.fail(f"none of {tokens} leads within {WITHIN_S} s")


async def fill_the_line(sale: OneSale, count: int) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + WITHIN_S
    while loop.time() < end:
        try:
            await asyncio.gather(
                *(sale.room.join(sale.sale_id, ticket_of(f"buyer{n}")) for n in range(count))
            )
        except RoomUnavailable:
            await asyncio.sleep(0.05)
        else:
            return
    pytest.fail("the line was never confirmed")


def test_a_dead_leader_is_replaced_within_two_seconds_by_design() -> None:
    timing = Timing()
    assert timing.lease_ms + timing.lease_ms // TRIES_PER_LEASE + timing.tick_ms <= 2_000


async def test_a_controller_that_is_killed_is_replaced_and_the_line_goes_on_in_order(
    sale: OneSale, books: PaperBooks, start: Start
) -> None:
    running = {"first": start("first"), "second": start("second")}
    token = await until_leader(sale, *running)
    await fill_the_line(sale, 1_000)
    await asyncio.sleep(1)
    for _ in range(2):
        running[token].kill()
        other = next(name for name in running if name != token)
        assert await until_leader(sale, other) == other
        before = await served(sale)
        await called_beyond(sale, before)
        running[token].wait()
        running[token] = start(token)
        token = other
    numbers = await all_numbers_called(sale, books)
    assert numbers == sorted(set(numbers)), "nobody overtaken, nobody called twice"


async def test_two_controllers_of_which_one_is_stopped_and_goes_on_never_double_the_pace(
    sale: OneSale, books: PaperBooks, start: Start
) -> None:
    running = {"first": start("first"), "second": start("second")}
    await until_leader(sale, *running)
    await fill_the_line(sale, 1_000)
    for _ in range(
        2
    ):  # the leader is cut off for longer than its lease, and comes back believing that it leads
        token = await until_leader(sale, *running)
        other = next(name for name in running if name != token)
        os.kill(running[token].pid, signal.SIGSTOP)
        await until_leader(sale, other)
        await asyncio.sleep(0.5)
        os.kill(running[token].pid, signal.SIGCONT)
        await asyncio.sleep(
            2
        )  # whoever leads by now: on a busy machine the other one may have lost the lead again
    numbers = await all_numbers_called(sale, books)
    assert numbers == sorted(set(numbers))
    counted = Counter(books.instants_called())  # wall time of a call, unix ms
    for begin, end in itertools.combinations(sorted(counted), 2):
        called = sum(count for at, count in counted.items() if begin < at <= end)
        # A tick may come late by as much as it may ever make up for, and so shift calls into a span.
        assert called <= PER_MINUTE * (end - begin + LONGEST_STEP_MS) / 60_000 + 1


@pytest.mark.parametrize("control", ["running", "paused"])
async def test_thousands_find_their_places_in_an_emptied_store_and_the_controllers_go_on(
    sale: OneSale, books: PaperBooks, start: Start, control: str
) -> None:
    for token in ("first", "second"):
        start(token)
    names = [f"buyer{n}" for n in range(CROWD)]
    await fill_the_line(sale, CROWD)
    await called_beyond(sale, await served(sale) + 5)
    shopping = [name for name in names[:3] if await sale.state(name) == "called"]
    claims = {name: await sale.claim(name) for name in shopping}
    if control == "paused":
        books.change_sale(sale.sale_id, control=control)
        await sale.change(control=control)
    await the_log_is_copied(sale)
    copied = set(books.numbers_called())
    places = await asyncio.gather(*(sale.room.look(sale.sale_id, ticket_of(name)) for name in names))
    held = {
        name: Ticket(sale.sale_id, ticket_of(name), place.number, place.store_id)
        for name, place in zip(names, places, strict=True)
    }
    called = [name for name, place in zip(names, places, strict=True) if place.state == "called"]

    await sale.client.flushall()
    newcomer = await patient(lambda: sale.room.join(sale.sale_id, ticket_of("newcomer")))

    async def comes_back(name: str) -> Place:
        return await patient(lambda: sale.room.look(sale.sale_id, ticket_of(name), held[name]))

    mixed = random.Random(7).sample(names, CROWD)
    back = dict(zip(mixed, await asyncio.gather(*map(comes_back, mixed)), strict=True))
    assert {name: place.number for name, place in back.items()} == {
        name: ticket.number for name, ticket in held.items()
    }
    assert newcomer.number > max(ticket.number for ticket in held.values())
    assert {name: await sale.claim(name) for name in claims} == claims
    assert {back[name].state.value for name in called if back[name].number in copied} <= {"called"}
    if control == "paused":
        line = (await sale.room.lines([sale.sale_id]))[sale.sale_id]
        assert (line.phase, line.waiting) == ("paused", CROWD + 1 - len(called) - len(claims))
    before = await all_numbers_called(sale, books)
    if control == "paused":
        books.change_sale(sale.sale_id, control="running")
        await sale.change(control="running")
    async with asyncio.timeout(2 * WITHIN_S):
        while True:
            numbers = await all_numbers_called(sale, books)
            if len(numbers) >= len(before) + 5:
                break
            await asyncio.sleep(0.05)
    if control == "paused":  # everybody was back before the next call
        numbers = numbers[len(before) :]
        waited = sorted(place.number for place in back.values() if place.state == "waiting")
        assert numbers == waited[: len(numbers)], "nobody overtaken, nobody called twice"


async def served(sale: OneSale) -> int:
    return int(await sale.client.hget(sale.keys.room, "now_serving") or 0)


async def called_beyond(sale: OneSale, number: int) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + WITHIN_S
    while loop.time() < end:
        if await served(sale) > number:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"nobody was called within {WITHIN_S} s")


async def all_numbers_called(sale: OneSale, books: PaperBooks) -> list[int]:
    """From the books and from what is not copied yet. Copies that overlap are one entry."""
    kept = books.numbers_called()
    rows = await sale.room.read_calls(sale.sale_id, 10_000)
    return kept + [row.number for row in rows if row.event == "call" and row.number not in kept]


async def the_log_is_copied(sale: OneSale) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if not await sale.client.xlen(sale.keys.calls):
                return
            await asyncio.sleep(0.02)


async def patient(step: Callable[[], Awaitable[Place]]) -> Place:
    """Try until the line is confirmed; so does every page."""
    async with asyncio.timeout(2 * WITHIN_S):
        while True:
            with contextlib.suppress(RoomUnavailable):
                return await step()
            await asyncio.sleep(0.1)

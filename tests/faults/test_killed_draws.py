"""The leader of a draw killed -9 in the middle of it, again and again: another one ends it, and the draw is the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.promises.one_draw import SEED, OneDraw, drawn_order
from tests.promises.one_sale import LEADER, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.draw import Published, commitment, faults_of, hash_of_list, lot

CROWD = [f"buyer{n}" for n in range(30_000)]
WITHIN_S = 60

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
async def start(redis_server: PrivateRedis, tmp_path: Path) -> AsyncIterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(token: str) -> subprocess.Popen[bytes]:
        words = ["-m", "tests.promises.paper_books", redis_server.url, str(tmp_path / "books.sqlite"), token]
        with (tmp_path / f"{token}.log").open("ab") as log:
            started.append(subprocess.Popen([sys.executable, *words], stdout=log, stderr=log))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


async def test_a_draw_whose_leaders_are_killed_is_the_one_that_was_promised(
    redis_async: Redis, redis_server: PrivateRedis, tmp_path: Path, start: Start
) -> None:
    books = PaperBooks(tmp_path / "books.sqlite", redis_server.url)
    sale = await OneDraw(redis_async, books=books).begin_lobby()
    ids = {name: ticket_of(name) for name in CROWD}
    for first in range(0, len(CROWD), 1_000):
        part = CROWD[first : first + 1_000]
        await redis_async.zadd(sale.keys.line, {ids[name]: float(lot(SEED, ids[name])) for name in part})
    await sale.room.release_lease(sale.sale_id, LEADER)
    books.change_sale(sale.sale_id, opens_at_ms="1")
    await sale.change(opens_at_ms=1)

    kills: Counter[str] = Counter()
    leader = start("leader0")

    async def drawn() -> None:
        nonlocal leader
        known = -1
        while True:
            stage = await redis_async.hget(sale.keys.room, "draw")
            done = (await books.list_end(sale.sale_id)).pages + await redis_async.zcount(
                sale.keys.line, 0, "+inf"
            )
            if stage == "drawn":
                return
            if stage in ("drawing", "listed") and done != known and kills[stage] < 3:
                known = done
                leader.kill()
                leader.wait()
                kills[stage] += 1
                leader = start(f"leader{kills.total()}")
            await asyncio.sleep(0.02)

    async with asyncio.timeout(WITHIN_S):
        await drawn()
    assert kills["drawing"] >= 1, "no leader died with the list half made"
    assert kills["listed"] >= 1, "no leader died with half of the numbers given"
    text = await books.list_text(sale.sale_id)
    published = Published(
        sale_id=sale.sale_id, commitment=commitment(sale.sale_id, SEED), seed=SEED, size=len(CROWD),
        list_hash=hash_of_list(text),
    )  # fmt: skip
    assert list(faults_of(published, text)) == []
    wanted = [ids[name] for name in drawn_order(CROWD)]
    assert text.decode().splitlines() == wanted
    line = await redis_async.zrange(sale.keys.line, 0, -1, withscores=True)
    number_of = {ticket: number for number, ticket in enumerate(wanted, 1)}
    assert all(number_of[ticket] == place for ticket, place in line), "a ticket has another one's number"
    for _ in range(WITHIN_S * 10):
        if len(books.numbers_called()) >= 20:
            break
        await asyncio.sleep(0.1)
    numbers = books.numbers_called()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 20
    await books.close()

"""Whether a line of 1,000,000 costs more than one of 1,000: per poll, per tick, in bytes; and how long a big tick blocks Redis.

Ticks are driven from here, without a controller, so that each does what is wanted; their time is that of the script inside Redis,
read from its slow log.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import redis
import uvloop
from redis.asyncio import Redis

from firstcome import clients
from load.arrivals import arrive
from load.figures import ROUNDS, Figure, interleave, median_ratio, middle, quantile, shown
from load.rows.polls import polls_of
from load.stage import Stage, stage
from tests.promises.one_sale import LEADER, OneSale
from waiting_room.keys import SaleKeys

SHALLOW, DEEP = 1_000, 1_000_000
TICKETS_THAT_JOIN = 200_000
TICKS = 600
CALLED_PER_TICK = 5
BIG_TICK = 1_000
# Below the 8 polls in 10 s that one ticket may send.
POLLS_PER_S, POLLS_S = 700, 4
# Below what any tick takes, above the commands inside it: Redis would log these one by one, and take its time for that.
SLOWER_THAN_US = 40


def polls_and_depth(scale: float = 1.0) -> Iterator[Figure]:
    """The p99 of polls that arrive at the same pace, in a line of a million and in one of a thousand."""
    deep = max(5_000, int(DEEP * scale))
    with stage() as here:
        here.run("serve")
        here.run("admit")
        lines = {"shallow": _line(here, SHALLOW), "deep": _line(here, deep)}
        pace = POLLS_PER_S * min(1.0, 10 * scale)
        runs = interleave(
            {
                name: lambda requests=requests: _p99_ms(here, requests, pace)
                for name, requests in lines.items()
            }
        )
        yield Figure(
            "poll_p99_1m_vs_1k",
            median_ratio(runs["deep"], runs["shallow"]),
            "ratio",
            1.2,
            "lower",
            f"p99 {shown(middle(runs['deep']))} ms with {deep:,} waiting, {shown(middle(runs['shallow']))} ms with "
            f"{SHALLOW:,}, at {shown(pace)} polls/s",
        )


def _line(here: Stage, waiting: int) -> list[bytes]:
    """The polls of some people, from front to end, of a line of that length."""
    sale = here.open_sale()
    here.await_line(sale)
    polls = polls_of(here, sale, waiting, every=max(1, waiting // SHALLOW))
    return polls.path.read_bytes().split(b"\0")


def _p99_ms(here: Stage, requests: list[bytes], pace: float) -> float:
    count = int(pace * POLLS_S)
    answers = arrive(here.port, [requests[at % len(requests)] for at in range(count)], pace)
    assert all(answer.status == 200 for answer in answers), {answer.status for answer in answers}
    return quantile([answer.took_s for answer in answers], 0.99) * 1000


def ticks_and_memory(scale: float = 1.0) -> Iterator[Figure]:
    """The script's p99 per tick in both lines, the longest of a tick that calls 1,000, and bytes per ticket that has joined."""
    with stage() as here:
        yield from uvloop.run(_measured(here, scale))


async def _measured(here: Stage, scale: float) -> list[Figure]:
    deep, ticks = max(5_000, int(DEEP * scale)), max(20, int(TICKS * min(1.0, 10 * scale)))
    async with _client(here) as client:
        joined = await _bytes_per_ticket(client, max(2_000, int(TICKETS_THAT_JOIN * scale)))
        shallow = await _sale(client, here, "shallow00001", SHALLOW)
        long_line = await _sale(client, here, "deep00000001", deep)
        times: dict[str, list[float]] = {"shallow": [], "deep": []}
        turns = [("shallow", shallow), ("deep", long_line)]
        for at in range(ROUNDS):  # every other one backwards, so that nobody always comes first
            for name, sale in turns if at % 2 == 0 else reversed(turns):
                times[name].append(await _p99_of_ticks(here, sale, ticks))
        blocked = [await _script_ms(here, lambda: _call_many(long_line, BIG_TICK)) for _ in range(ROUNDS)]
    return [
        Figure(
            "tick_p99_1m_vs_1k",
            median_ratio(times["deep"], times["shallow"]),
            "ratio",
            1.2,
            "lower",
            f"p99 {shown(middle(times['deep']))} ms with {deep:,} waiting, {shown(middle(times['shallow']))} ms with "
            f"{SHALLOW:,}, {CALLED_PER_TICK} called each",
        ),
        Figure(
            "tick_of_1000_blocks",
            middle([max(steps) for steps in blocked]),
            "ms",
            10,
            "lower",
            f"the longest of the {len(blocked[0])} steps in which a tick calls {BIG_TICK:,}, "
            f"{shown(middle([sum(steps) for steps in blocked]))} ms in all; others are answered in between",
        ),
        joined,
    ]


@asynccontextmanager
async def _client(here: Stage) -> AsyncIterator[Redis]:
    client = clients.redis_async(here.settings.redis_url)
    client.connection_pool.connection_kwargs["socket_timeout"] = 60
    try:
        yield client
    finally:
        await client.aclose()


async def _bytes_per_ticket(client: Redis, count: int) -> Figure:
    """What so many real joins add to all keys of the sale."""
    sale = OneSale(client, "memory000001")
    await sale.begin(capacity=1, calls_per_minute=1)
    # The store is confirmed with fewer numbers than that; the next ones lie ready, as a leader lays them.
    last = int(await client.hget(sale.keys.room, "last_number") or 0)
    assert await sale.room.give_block(sale.sale_id, LEADER, last + 1, last + count) == "laid"
    before = await _bytes_of(client, sale.keys)
    for first in range(0, count, 500):
        names = [secrets.token_urlsafe(10)[:14] for _ in range(min(500, count - first))]
        await asyncio.gather(*(sale.room.join(sale.sale_id, name) for name in names))
    there = int(await client.zcard(sale.keys.line))
    used = await _bytes_of(client, sale.keys) - before
    return Figure(
        "bytes_per_ticket", used / there, "bytes", 140, "lower", f"all keys of the sale after {there:,} joins"
    )


async def _bytes_of(client: Redis, keys: SaleKeys) -> int:
    found = [key async for key in client.scan_iter(f"*{{{keys.sale_id}}}*", count=1_000)]
    return sum([int(await client.memory_usage(key, samples=0) or 0) for key in found])


async def _sale(client: Redis, here: Stage, sale_id: str, waiting: int) -> OneSale:
    sale = OneSale(client, sale_id)
    await sale.begin(capacity=100_000_000, calls_per_minute=100_000_000)
    await sale.stock(allotted=100_000_000)
    await sale.lead(size=10)
    await asyncio.to_thread(_fill, here.redis, sale.keys, waiting)
    return sale


def _fill(client: redis.Redis, keys: SaleKeys, waiting: int) -> None:
    """People in line as join.lua leaves them."""
    for first in range(1, waiting + 1, 5_000):
        numbers = range(first, min(first + 5_000, waiting + 1))
        client.zadd(keys.line, {secrets.token_urlsafe(10)[:14]: number for number in numbers})


async def _p99_of_ticks(here: Stage, sale: OneSale, count: int) -> float:
    async def ticks() -> None:
        for _ in range(count):
            await sale.tick(rate=CALLED_PER_TICK)
            # The line keeps its length: as many come to its end as were called from its head.
            names = {secrets.token_urlsafe(10)[:14]: 10_000_000 + at for at in range(CALLED_PER_TICK)}
            await sale.client.zadd(sale.keys.line, names)

    await sale.lead(size=10)
    return quantile(await _script_ms(here, ticks), 0.99)


async def _call_many(sale: OneSale, count: int) -> None:
    """What a leader does in one tick that has so many to call."""
    reply = await sale.tick(rate=count)
    called = reply.calls
    while reply.more:
        reply = await sale.tick(0, rate=count - called)
        called += reply.calls
    assert called == count, f"{called} called instead of {count}"


async def _script_ms(here: Stage, work: Callable[[], Awaitable[object]]) -> list[float]:
    """How long each script took inside Redis while `work` ran, in ms."""
    here.redis.config_set("slowlog-max-len", 20_000)
    here.redis.config_set("slowlog-log-slower-than", SLOWER_THAN_US)
    here.redis.slowlog_reset()
    await work()
    here.redis.config_set("slowlog-log-slower-than", -1)
    log = here.redis.slowlog_get(20_000)
    return [entry["duration"] / 1000 for entry in log if str(entry["command"]).upper().find("EVALSHA") >= 0]

"""L2: nobody overtakes; and the pace that everybody is called at."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.promises.one_sale import LEADER, LEASE_MS, OneSale, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.clock import LONGEST_STEP_MS
from waiting_room.leadership import Leadership, Timing
from waiting_room.pace import NO_LIMIT, Allowance, BacklogLimits, allowance, carry_over
from waiting_room.refusals import NoTicket, RoomUnavailable
from waiting_room.room import Room
from waiting_room.ticking import Beat, TickRefusal, TickReply
from waiting_room.window import Control, SaleSettings, Stock, phase


async def called_numbers(sale: OneSale) -> list[int]:
    return [row.number for row in await sale.room.read_calls(sale.sale_id, 100_000) if row.event == "call"]


async def until(asked: Callable[[], Awaitable[bool]]) -> None:
    """Until Redis says yes; it is the test that fails otherwise."""
    for _ in range(2_000):
        if await asked():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came to that")


async def test_whatever_buyers_do_at_once_calls_are_strictly_in_order_of_the_numbers(sale: OneSale) -> None:
    chance = random.Random(7)
    names = [f"buyer{n}" for n in range(400)]

    async def live(name: str) -> None:
        for _ in range(chance.randint(1, 3)):
            await sale.room.join(sale.sale_id, ticket_of(name))
            if chance.random() < 0.2:
                await sale.room.leave(sale.sale_id, ticket_of(name))

    async def lead() -> None:
        for _ in range(40):
            await sale.tick(1_000, rate=chance.randint(0, 12))
            await asyncio.sleep(0)

    await sale.change(capacity=10_000)
    await asyncio.gather(lead(), *(live(name) for name in names))
    numbers = await called_numbers(sale)
    assert len(numbers) > 100
    assert numbers == sorted(set(numbers))


async def test_numbers_follow_the_order_of_the_joins_and_are_never_given_twice(sale: OneSale) -> None:
    numbers = [(await sale.room.join(sale.sale_id, ticket_of(f"buyer{n}"))).number for n in range(50)]
    assert numbers == list(range(numbers[0], numbers[0] + 50))


async def test_a_block_that_is_used_up_refuses_joins_and_the_next_one_goes_on_behind_it(
    redis_async: Redis,
) -> None:
    sale = OneSale(redis_async)
    await redis_async.hset(sale.keys.settings, mapping=settings_fields())
    await sale.stock(allotted=100)
    assert await sale.lead(size=2) == "confirmed"
    first = await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.room.join(sale.sale_id, ticket_of("bob"))
    with pytest.raises(RoomUnavailable):
        await sale.room.join(sale.sale_id, ticket_of("cleo"))
    with pytest.raises(NoTicket):
        await sale.room.look(sale.sale_id, ticket_of("cleo"))
    assert not (await sale.room.join(sale.sale_id, ticket_of("ann"))).created
    low, high = first.number - 1, first.number + 100
    assert await sale.room.give_block(sale.sale_id, LEADER, low, low + 9) == "stale", (
        "numbers that were given before"
    )
    assert await sale.room.give_block(sale.sale_id, "another", high, high + 9) == "not_leader"
    assert await sale.room.give_block(sale.sale_id, LEADER, high, high + 9) == "laid"
    assert await sale.room.give_block(sale.sale_id, LEADER, high + 50, high + 59) == "not_needed"
    assert (await sale.room.join(sale.sale_id, ticket_of("cleo"))).number == high


async def test_position_and_people_ahead_are_those_of_the_line(sale: OneSale) -> None:
    for n in range(5):
        await sale.room.join(sale.sale_id, ticket_of(f"buyer{n}"))
    place = await sale.room.look(sale.sale_id, ticket_of("buyer3"))
    assert (place.ahead, place.position, place.waiting) == (3, 4, 5)
    await sale.tick(rate=2)
    await sale.room.leave(sale.sale_id, ticket_of("buyer2"))
    place = await sale.room.look(sale.sale_id, ticket_of("buyer3"))
    assert (place.ahead, place.position, place.waiting) == (0, 1, 2)


async def test_the_least_of_rate_stock_backlog_capacity_and_line_is_called(sale: OneSale) -> None:
    for n in range(100):
        await sale.room.join(sale.sale_id, ticket_of(f"buyer{n}"))
    await sale.change(capacity=20)
    assert (await sale.tick(rate=3)).calls == 3
    assert (await sale.tick(stock=2)).calls == 2
    assert (await sale.tick(backlog=4)).calls == 4
    full = await sale.tick()
    assert (full.calls, full.called) == (11, 20)
    held = await sale.tick()
    assert (held.calls, held.limit) == (0, "capacity")


@pytest.mark.parametrize(
    "changes",
    [
        {"control": "paused"},
        {"control": "halted"},
        {"control": "closed"},
        {"control": "cancelled"},
        {"control": "draft"},
        {"opens_at_ms": 10**13, "closes_at_ms": 10**13},
        {"closes_at_ms": 1},
        {"calls_per_minute": 0},
        {"capacity": 0},
    ],
)
async def test_nobody_is_called_while_the_sale_calls_nobody(
    sale: OneSale, changes: dict[str, object]
) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.change(**changes)
    assert (await sale.tick()).calls == 0
    await sale.client.hset(sale.keys.settings, mapping=settings_fields())
    assert (await sale.tick()).calls == 1


@pytest.mark.parametrize(("held", "sold"), [(10, 0), (0, 10), (4, 6)])
async def test_nobody_is_called_when_nothing_is_free(sale: OneSale, held: int, sold: int) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.stock(10, held, sold)
    assert (await sale.tick()).calls == 0
    await sale.change(control="draining")
    assert (await sale.tick()).calls == 0
    await sale.stock(10, 1, 1)
    assert (await sale.tick()).calls == 1, "a draining sale goes on calling those who stand in line"


async def test_a_clock_that_is_set_back_does_not_close_a_sale_that_was_open(sale: OneSale) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.tick(rate=0)
    ahead = int(time.time() * 1000) + 5_000
    await sale.client.hset(sale.keys.room, "wall_ms", ahead)  # as if the clock had been ahead until now
    await sale.change(opens_at_ms=ahead - 1)
    assert (await sale.tick()).calls == 1


async def test_a_tick_whose_reply_was_lost_calls_once(sale: OneSale) -> None:
    for n in range(10):
        await sale.room.join(sale.sale_id, ticket_of(f"buyer{n}"))
    beat = Beat("the same beat", 200, LEASE_MS, Allowance(3, NO_LIMIT, NO_LIMIT, 3.0))
    replies = [await sale.room.tick(sale.sale_id, LEADER, beat) for _ in range(5)]
    assert isinstance(replies[0], TickReply)
    assert (replies[0].calls, replies[0].called) == (3, 3)
    assert all(reply == replies[0] for reply in replies)
    assert len(await called_numbers(sale)) == 3


async def test_a_tick_with_many_to_call_takes_steps_that_call_in_order_and_may_be_repeated(
    sale: OneSale,
) -> None:
    """Between two steps the leader may lose a reply, or die and be followed by another: each step is a whole tick."""
    await sale.change(capacity=1_000)
    await asyncio.gather(*(sale.room.join(sale.sale_id, ticket_of(f"buyer{n}")) for n in range(700)))
    calls = []
    for step in range(4):
        left = Allowance(600 - sum(calls), NO_LIMIT, NO_LIMIT, 600.0)
        beat = Beat(f"step {step}", 0, LEASE_MS, left)
        replies = [await sale.room.tick(sale.sale_id, LEADER, beat) for _ in range(2)]
        assert replies[0] == replies[1]
        assert isinstance(replies[0], TickReply)
        calls.append(replies[0].calls)
        assert replies[0].more == (sum(calls) < 600), "only what no other bound holds back is called at once"
    assert max(calls) < 600
    assert sum(calls) == 600
    numbers = await called_numbers(sale)
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 600


async def test_a_leader_goes_on_at_once_while_a_step_has_left_calls_over(
    redis_async: Redis, redis_server: PrivateRedis, tmp_path: Path
) -> None:
    books = PaperBooks(tmp_path / "books.sqlite", redis_server.url)
    sale = OneSale(redis_async)
    settings = settings_fields(calls_per_minute=600_000, capacity=100_000, control="paused")
    books.open_sale(sale.sale_id, settings, {"version": "1", "allotted": "100000", "held": "0", "sold": "0"})
    leader = Leadership(sale.sale_id, sale.room, books, token=LEADER, timing=Timing(tick_ms=LONGEST_STEP_MS))
    stop = asyncio.Event()
    leading = asyncio.create_task(leader.run(stop))
    await until(lambda: sale.client.hexists(sale.keys.room, "store_id"))
    names = [ticket_of(f"buyer{n}") for n in range(1_000)]
    await asyncio.gather(*(sale.room.join(sale.sale_id, name) for name in names))
    await sale.change(control="running")  # not before all are there: the first tick is to find a thousand

    async def all_are_called() -> bool:
        return int(await sale.client.hlen(sale.keys.served)) == len(names)

    await until(all_are_called)
    stop.set()
    await leading
    await books.close()
    calls = [entry.split(":") for entry in await sale.client.lrange(sale.keys.window, 0, -1)]
    big = [int(clock_ms) for clock_ms, count, _ in calls if int(count) > 0]
    assert len(big) >= 4, "the tick was to take several steps"
    assert big[-1] - big[0] < LONGEST_STEP_MS, "no step waits for the next tick"


async def test_only_the_leader_calls(sale: OneSale) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    beat = Beat("beat of another", 200, LEASE_MS, Allowance(3, NO_LIMIT, NO_LIMIT, 3.0))
    assert await sale.room.tick(sale.sale_id, "another", beat) is TickRefusal.NOT_LEADER
    assert await sale.state("ann") == "waiting"


async def test_no_sixty_seconds_hold_more_calls_than_the_operator_allowed(sale: OneSale) -> None:
    chance = random.Random(11)
    await sale.change(calls_per_minute=30, capacity=100_000)
    for n in range(300):
        await sale.room.join(sale.sale_id, ticket_of(f"buyer{n}"))
    told: list[tuple[int, int]] = []
    for _ in range(300):
        reply = await sale.tick(chance.randint(0, 1_000), rate=chance.choice([0, 1, 50]))
        told.append((reply.clock_ms, reply.calls))
    for end, _ in told:
        assert sum(calls for at, calls in told if end - 60_000 < at <= end) <= 30
    assert sum(calls for _, calls in told) > 30


async def test_a_leader_that_asks_the_pace_calls_at_the_set_rate(sale: OneSale) -> None:
    await sale.change(calls_per_minute=120, capacity=100_000)
    for n in range(200):
        await sale.room.join(sale.sale_id, ticket_of(f"buyer{n}"))
    carry, calls, reply = 0.0, 0, await sale.tick(0, rate=0)
    for _ in range(150):  # thirty seconds
        allowed = allowance(reply, carry, 200, BacklogLimits())
        reply = await sale.tick(200, rate=allowed.rate, stock=allowed.stock, backlog=allowed.backlog)
        calls += reply.calls
        carry = carry_over(allowed.budget, reply.calls, open_gate=reply.gate == "open", waiting=reply.waiting)
    assert 59 <= calls <= 60


async def test_the_scripts_and_the_rules_name_the_same_phase(sale: OneSale) -> None:
    now = int(time.time() * 1000)
    edges = [now - 60_000, now + 600_000]
    stocks = [Stock(10, 0, 0), Stock(10, 5, 5), Stock(10, 0, 10), Stock(0, 0, 0)]
    times = [at for at in itertools.product(edges, repeat=3) if at == tuple(sorted(at))]
    for control, stock, (lobby, opens, closes) in itertools.product(Control, stocks, times):
        fields = settings_fields(
            control=control.value, lobby_opens_at_ms=lobby, opens_at_ms=opens, closes_at_ms=closes
        )
        await sale.client.hset(sale.keys.settings, mapping=fields)
        await sale.stock(stock.allotted, stock.held, stock.sold)
        told = (await sale.room.lines([sale.sale_id]))[sale.sale_id].phase
        assert told is phase(SaleSettings.from_fields(fields), stock, now), (
            control,
            stock,
            lobby,
            opens,
            closes,
        )


async def test_the_line_state_of_many_sales_comes_in_one_round_trip(sale: OneSale) -> None:
    other = await OneSale(sale.client, "sale0000002").begin(control="paused")
    await sale.admit("ann")
    await sale.call("bob")
    await sale.room.join(sale.sale_id, ticket_of("cleo"))
    lines = await Room(sale.client).lines([sale.sale_id, other.sale_id, "no-such-sale"])
    assert set(lines) == {sale.sale_id, other.sale_id}
    line = lines[sale.sale_id]
    assert (line.waiting, line.called, line.admitted, line.calls_last_minute) == (1, 1, 1, 2)
    assert (line.phase, line.leader, line.confirmed) == ("open", True, True)
    assert line.now_serving == (await called_numbers(sale))[-1]
    assert lines[other.sale_id].phase == "paused"
    await other.change(version="torn")
    assert set(await sale.room.lines([other.sale_id, sale.sale_id])) == {sale.sale_id}, "and harms no other"

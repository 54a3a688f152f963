"""L10, the room's part: what is not certain is answered RoomUnavailable, nobody is called, nothing is half done."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from firstcome import clients
from firstcome.servers import EmbeddedRedis, PrivateRedis
from tests.promises.one_sale import LEADER, LEASE_MS, OneSale, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.controller import Controller
from waiting_room.estimate import Reason
from waiting_room.pace import NO_LIMIT, Allowance
from waiting_room.refusals import NoTicket, RoomUnavailable
from waiting_room.room import Room
from waiting_room.ticking import Beat, TickRefusal

STOCK = {"version": "1", "allotted": "1000", "held": "0", "sold": "0"}
# Long enough for every bounded wait of the room, far too short for a wait without bound.
BOUND_S = 8.0


async def everything_is_unavailable(sale: OneSale) -> None:
    """Joins, polls, claims, extensions and leaves of known and unknown buyers alike."""
    steps: list[Callable[[], Awaitable[Any]]] = []
    for name in ("ann", "bob", "nobody"):
        ticket = ticket_of(name)
        steps += [
            lambda ticket=ticket: sale.room.join(sale.sale_id, ticket),
            lambda ticket=ticket: sale.room.look(sale.sale_id, ticket),
            lambda ticket=ticket: sale.room.claim(sale.sale_id, ticket, "account", kid="k1"),
            lambda ticket=ticket: sale.room.extend(sale.sale_id, ticket),
            lambda ticket=ticket: sale.room.leave(sale.sale_id, ticket),
        ]
    for step in steps:
        with pytest.raises(RoomUnavailable) as refusal:
            await step()
        assert refusal.value.retry_after_s >= 1


async def refused_tick(sale: OneSale) -> TickRefusal:
    await sale.room.take_lease(sale.sale_id, LEADER, LEASE_MS)
    reply = await sale.room.tick(
        sale.sale_id, LEADER, Beat("beat", 200, LEASE_MS, Allowance(9, NO_LIMIT, NO_LIMIT, 9.0))
    )
    assert isinstance(reply, TickRefusal), reply
    return reply


async def test_an_emptied_store_answers_nothing_until_it_is_confirmed(sale: OneSale) -> None:
    await sale.call("ann")
    before = await sale.room.join(sale.sale_id, ticket_of("bob"))
    await sale.client.flushall()
    await everything_is_unavailable(sale)
    assert await refused_tick(sale) is TickRefusal.UNCONFIRMED

    await sale.begin()
    with pytest.raises(NoTicket):
        await sale.room.look(sale.sale_id, ticket_of("bob"))
    after = await sale.room.join(sale.sale_id, ticket_of("bob"))
    assert after.store_id != before.store_id
    assert after.number > before.number, "no number is given twice"


async def test_a_restarted_store_answers_nothing_until_it_is_confirmed_and_keeps_its_places(
    sale: OneSale, redis_server: PrivateRedis
) -> None:
    await sale.call("ann")
    before = await sale.room.join(sale.sale_id, ticket_of("bob"))
    await sale.client.save()
    redis_server.restart()
    await everything_is_unavailable(sale)
    assert await refused_tick(sale) is TickRefusal.UNCONFIRMED
    assert not (await sale.room.lines([sale.sale_id]))[sale.sale_id].confirmed

    assert await sale.lead() == "confirmed"
    bob = await sale.room.look(sale.sale_id, ticket_of("bob"))
    assert (bob.state, bob.number) == ("waiting", before.number)
    assert bob.store_id != before.store_id
    assert await sale.state("ann") == "called"
    assert (await sale.room.join(sale.sale_id, ticket_of("cleo"))).number > before.number


async def test_confirming_twice_is_confirming_once_and_needs_the_lead(sale: OneSale) -> None:
    line = (await sale.room.lines([sale.sale_id]))[sale.sale_id]
    assert await sale.room.confirm_store(sale.sale_id, LEADER, "another", 900_000, 900_009) == "confirmed"
    assert (await sale.room.lines([sale.sale_id]))[sale.sale_id].store_id == line.store_id
    await sale.client.hdel(sale.keys.room, "store_id")
    assert (
        await sale.room.confirm_store(sale.sale_id, "not the leader", "x", 10**6, 10**6 + 9) == "not_leader"
    )
    assert await sale.room.confirm_store(sale.sale_id, LEADER, "x", 1, 9) == "stale", (
        "numbers that were given before"
    )


@pytest.mark.parametrize("copy", ["settings", "stock"])
@pytest.mark.parametrize("broken", ["missing", "malformed"])
async def test_without_settings_or_stock_nobody_joins_and_nobody_is_called(
    sale: OneSale, copy: str, broken: str
) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    key = getattr(sale.keys, copy)
    fields = list(await sale.client.hgetall(key))
    needed = set(fields) - {"version", "slug", "title", "message_ko", "message_en", "hold_ms"}
    for name in sorted(needed):
        kept = await sale.client.hget(key, name)
        await (sale.client.hdel(key, name) if broken == "missing" else sale.client.hset(key, name, "soon"))
        await everything_is_unavailable(sale)
        assert await refused_tick(sale) is TickRefusal.UNPUBLISHED
        await sale.client.hset(key, name, kept)
    await sale.client.delete(key)
    await everything_is_unavailable(sale)
    assert await sale.client.zcard(sale.keys.line) == 1, "nothing was changed"


async def test_a_store_that_is_down_is_told_at_once(sale: OneSale, redis_server: PrivateRedis) -> None:
    await sale.call("ann")
    redis_server.kill()
    try:
        async with asyncio.timeout(BOUND_S):
            await everything_is_unavailable(sale)
            with pytest.raises(RoomUnavailable):
                await sale.room.lines([sale.sale_id])
            with pytest.raises(RoomUnavailable):
                await sale.room.read_calls(sale.sale_id, 1)
    finally:
        redis_server.start()
    with pytest.raises(RoomUnavailable):
        await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.begin()  # what the kill took along of the last second is laid again
    assert (await sale.room.join(sale.sale_id, ticket_of("ann"))).state in ("called", "waiting")


async def test_a_store_that_hangs_is_waited_for_a_bounded_time_by_any_number_of_requests(
    sale: OneSale, redis_server: PrivateRedis
) -> None:
    assert redis_server.process
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(BOUND_S):
            polls = [sale.room.look(sale.sale_id, ticket_of("ann")) for _ in range(6_000)]
            answers = await asyncio.gather(*polls, return_exceptions=True)
        assert all(isinstance(answer, RoomUnavailable) for answer in answers)
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert await sale.state("ann") == "waiting", "it recovers without a restart"


async def test_a_request_that_is_given_up_disturbs_no_other(sale: OneSale) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    impatient = asyncio.create_task(sale.room.look(sale.sale_id, ticket_of("ann")))
    patient = asyncio.create_task(sale.room.look(sale.sale_id, ticket_of("ann")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).state == "waiting"


async def test_scripts_that_the_server_has_forgotten_are_taught_again(sale: OneSale) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.client.script_flush()
    places = await asyncio.gather(*(sale.room.look(sale.sale_id, ticket_of("ann")) for _ in range(50)))
    assert {place.number for place in places} == {places[0].number}


async def test_the_scripts_run_on_the_bundled_server(servers_dir: Path) -> None:
    with EmbeddedRedis(servers_dir / "bundled") as server:
        client = clients.redis_async(server.url)
        sale = await OneSale(client).begin()
        await sale.admit("ann")
        await sale.order("ann")
        await sale.outcome("ann", "paid")
        await sale.call("bob")
        await sale.pass_time(121)
        assert (await sale.room.join(sale.sale_id, ticket_of("bob"))).rejoined
        await sale.room.leave(sale.sale_id, ticket_of("bob"))
        assert [await sale.state(name) for name in ("ann", "bob")] == ["done", "left"]
        rows = await sale.room.read_calls(sale.sale_id, 100)
        await sale.room.trim_calls(sale.sale_id, rows[-1].stream_id)
        assert await sale.room.read_calls(sale.sale_id, 100) == []
        await client.aclose()


# ---------------------------------------------------------------- with a controller


@pytest.fixture
async def controlled(redis_async: Redis, books: PaperBooks) -> AsyncIterator[OneSale]:
    """A sale that a running controller leads."""
    sale = OneSale(redis_async)
    # More capacity than the rate fills in the seconds of an outage: what may have been called in them counts as taken after it.
    books.open_sale(sale.sale_id, settings_fields(capacity=10_000), STOCK)
    stop = asyncio.Event()
    running = asyncio.create_task(Controller(sale.room, books, token="ours").run(stop))
    yield sale
    stop.set()
    async with asyncio.timeout(BOUND_S):
        await running
    assert not await redis_async.exists(sale.keys.lease), "the lead was given up"


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until it is so; the controller works in its own time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + BOUND_S
    while loop.time() < end:
        if await holds():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"not within {BOUND_S} s: {what}")


async def joined(sale: OneSale, name: str) -> bool:
    try:
        await sale.room.join(sale.sale_id, ticket_of(name))
    except RoomUnavailable:
        return False
    return True


async def called(sale: OneSale, name: str) -> bool:
    try:
        return await sale.state(name) == "called"
    except (RoomUnavailable, NoTicket):
        return False


@pytest.mark.parametrize("setting", ["calls_per_minute", "capacity"])
async def test_a_lowered_setting_explains_the_wait_until_it_is_raised_again(
    sale: OneSale, setting: str
) -> None:
    lowered = {"calls_per_minute": Reason.RATE_LOWERED, "capacity": Reason.CAPACITY_LOWERED}[setting]
    await sale.room.join(sale.sale_id, ticket_of("somebody"))

    async def reason_after(value: int) -> Reason | None:
        await sale.change(**{setting: value})
        await sale.tick(rate=0)
        estimate = (await sale.room.look(sale.sale_id, ticket_of("somebody"))).estimate
        return estimate.reason if estimate else None

    assert await reason_after(500) is not lowered
    assert await reason_after(20) is lowered
    assert await reason_after(20) is lowered
    assert await reason_after(500) is not lowered


async def test_a_controller_confirms_an_empty_store_and_an_emptied_one(
    controlled: OneSale, books: PaperBooks
) -> None:
    sale = controlled
    await until(lambda: joined(sale, "ann"), "the first confirmation")
    first = await sale.room.join(sale.sale_id, ticket_of("ann"))
    await until(lambda: called(sale, "ann"), "the first call")
    await sale.client.flushall()
    await until(lambda: joined(sale, "bob"), "the second confirmation")
    second = await sale.room.join(sale.sale_id, ticket_of("bob"))
    assert second.number > first.number
    assert second.store_id != first.store_id
    await until(lambda: called(sale, "bob"), "calls after the loss")


async def test_a_controller_goes_on_after_its_store_was_away(
    controlled: OneSale, redis_server: PrivateRedis
) -> None:
    sale = controlled
    await until(lambda: joined(sale, "ann"), "the first confirmation")
    redis_server.kill()
    await asyncio.sleep(0.5)
    redis_server.start()
    await until(lambda: joined(sale, "bob"), "the confirmation after the restart")
    await until(lambda: called(sale, "bob"), "calls after the restart")


async def test_a_controller_copies_the_call_log_and_then_forgets_it(
    controlled: OneSale, books: PaperBooks
) -> None:
    sale = controlled
    await until(lambda: joined(sale, "ann"), "the first confirmation")

    async def copied() -> bool:
        return bool(books.numbers_called()) and await sale.client.xlen(sale.keys.calls) == 0

    await until(copied, "the call is in the books and out of the store")


async def test_a_controller_fetches_numbers_before_they_run_out(
    redis_async: Redis, books: PaperBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waiting_room.leadership.SMALLEST_BLOCK", 40)
    sale = OneSale(redis_async)
    books.open_sale(sale.sale_id, settings_fields(), STOCK)
    stop = asyncio.Event()
    running = asyncio.create_task(Controller(sale.room, books, token="ours").run(stop))
    await until(lambda: joined(sale, "first"), "the first confirmation")
    for n in range(300):
        await until(lambda n=n: joined(sale, f"buyer{n}"), "a join")  # type: ignore[misc]
    stop.set()
    await running


async def test_a_sale_whose_books_fail_holds_up_no_other(controlled: OneSale, books: PaperBooks) -> None:
    sale = controlled
    await until(lambda: joined(sale, "ann"), "the first confirmation")
    torn = OneSale(sale.client, "sale0000009")
    books.torn.add(torn.sale_id)
    books.open_sale(torn.sale_id, settings_fields(), STOCK)
    await until(lambda: _led(torn), "the torn sale has a leader")
    await until(lambda: joined(sale, "bob"), "joins of the other sale")
    await until(lambda: called(sale, "bob"), "calls of the other sale")
    with pytest.raises(RoomUnavailable):
        await torn.room.join(torn.sale_id, ticket_of("ann", torn.sale_id))
    books.torn.clear()
    await until(lambda: joined(torn, "ann"), "the torn sale once its books are mended")


async def _led(sale: OneSale) -> bool:
    return bool(await sale.client.exists(sale.keys.lease))


async def test_a_sale_that_is_over_loses_its_leader_and_the_others_keep_theirs(
    controlled: OneSale, books: PaperBooks
) -> None:
    other = OneSale(controlled.client, "sale0000009")
    books.open_sale(other.sale_id, settings_fields(), STOCK)
    await until(lambda: _led(other), "two sales are led")
    books.close_sale(other.sale_id)

    async def released() -> bool:
        return not await _led(other)

    await until(released, "the lease of the sale that is over")
    assert await _led(controlled)


async def test_without_a_controller_nobody_is_called(redis_async: Redis) -> None:
    sale = await OneSale(redis_async).begin()
    await sale.room.release_lease(sale.sale_id, LEADER)
    room = Room(redis_async)
    place = await room.join(sale.sale_id, ticket_of("ann"))
    assert place.state == "waiting"
    assert not (await room.lines([sale.sale_id]))[sale.sale_id].leader

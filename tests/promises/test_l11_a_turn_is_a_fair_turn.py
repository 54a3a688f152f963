"""L11: a turn is a fair turn."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.promises.one_sale import LEADER, OneSale, ticket_of
from waiting_room.refusals import (
    AlreadyExtended,
    Halted,
    NotCalled,
    NotCalledYet,
    NoTicket,
    OrderOpen,
    TurnLapsed,
)


@pytest.fixture
async def sale(redis_async: Redis) -> OneSale:
    return await OneSale(redis_async).begin()


async def test_a_called_buyer_sees_the_call_and_a_window_of_the_set_length(sale: OneSale) -> None:
    await sale.call("ann")
    place = await sale.room.look(sale.sale_id, ticket_of("ann"))
    lines = await sale.room.lines([sale.sale_id])
    assert place.state == "called"
    assert place.turn_expires_at_ms is not None
    assert 115_000 < place.turn_expires_at_ms - lines[sale.sale_id].now_ms <= 120_000
    assert (place.position, place.ahead) == (None, None)


async def test_a_turn_that_is_seen_lasts_its_whole_window_and_not_longer(sale: OneSale) -> None:
    await sale.call("ann")
    await sale.pass_time(119)
    assert await sale.state("ann") == "called"
    await sale.pass_time(1)
    assert await sale.state("ann") == "missed"


async def test_a_turn_may_be_extended_once_by_one_window(sale: OneSale) -> None:
    await sale.call("ann")
    before = await sale.room.look(sale.sale_id, ticket_of("ann"))
    after = await sale.room.extend(sale.sale_id, ticket_of("ann"))
    assert after.extended
    assert before.turn_expires_at_ms is not None
    assert after.turn_expires_at_ms is not None
    assert abs(after.turn_expires_at_ms - before.turn_expires_at_ms - 120_000) < 5_000
    with pytest.raises(AlreadyExtended):
        await sale.room.extend(sale.sale_id, ticket_of("ann"))
    await sale.pass_time(239)
    assert await sale.state("ann") == "called"
    await sale.pass_time(1)
    assert await sale.state("ann") == "missed"


async def test_only_a_called_turn_can_be_extended(sale: OneSale) -> None:
    with pytest.raises(NoTicket):
        await sale.room.extend(sale.sale_id, ticket_of("ann"))
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    with pytest.raises(NotCalled):
        await sale.room.extend(sale.sale_id, ticket_of("ann"))


async def test_who_misses_a_turn_may_come_back_to_the_front(sale: OneSale) -> None:
    await sale.call("ann")
    for name in ("bob", "cleo"):
        await sale.room.join(sale.sale_id, ticket_of(name))
    await sale.pass_time(121)
    assert await sale.state("ann") == "missed"
    place = await sale.room.look(sale.sale_id, ticket_of("bob"))
    assert place.ahead == 0, "a missed ticket stands in nobody's position"

    back = await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert back.rejoined
    assert not back.created
    assert (back.state, back.ahead) == ("waiting", 0)
    await sale.tick(rate=1)
    assert [await sale.state(name) for name in ("ann", "bob", "cleo")] == ["called", "waiting", "waiting"]


async def test_a_missed_ticket_is_not_called_before_it_says_that_it_is_there(sale: OneSale) -> None:
    await sale.call("ann")
    await sale.pass_time(121)
    await sale.tick()
    assert await sale.state("ann") == "missed"


async def test_a_second_miss_lapses_the_place(sale: OneSale) -> None:
    await sale.call("ann")
    await sale.pass_time(121)
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.tick()
    await sale.pass_time(121)
    assert await sale.state("ann") == "lapsed"


async def test_the_come_back_time_ends_and_then_the_place_has_lapsed(sale: OneSale) -> None:
    await sale.change(comeback_ms=20_000)
    await sale.call("ann")
    await sale.pass_time(120)
    await sale.pass_time(19)
    assert await sale.state("ann") == "missed"
    await sale.pass_time(1)
    assert await sale.state("ann") == "lapsed"
    again = await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert again.created, "a lapsed buyer may join anew, at the end"


async def test_the_come_back_time_stands_still_while_the_sale_is_paused(sale: OneSale) -> None:
    await sale.change(comeback_ms=20_000)
    await sale.call("ann")
    await sale.pass_time(120)
    await sale.change(control="paused")
    await sale.pass_time(100)
    assert await sale.state("ann") == "missed"
    await sale.change(control="running")
    await sale.pass_time(20)
    assert await sale.state("ann") == "lapsed"


async def test_a_turn_that_nobody_has_seen_ends_after_45_seconds_and_one_poll_prevents_it(
    sale: OneSale,
) -> None:
    for name in ("ann", "bob"):
        await sale.room.join(sale.sale_id, ticket_of(name))
    await sale.tick()
    await sale.pass_time(44)
    assert await sale.state("bob") == "called"
    await sale.pass_time(1)
    assert [await sale.state(name) for name in ("ann", "bob")] == ["missed", "called"]


async def test_a_free_slot_is_filled_at_once(sale: OneSale) -> None:
    await sale.change(capacity=1)
    await sale.call("ann")
    for name in ("bob", "cleo", "dan"):
        await sale.room.join(sale.sale_id, ticket_of(name))
    await sale.tick()
    assert await sale.state("bob") == "waiting"
    await sale.pass_time(119)
    await sale.tick(1_000)  # the tick that ends a missed turn gives its slot away
    assert [await sale.state(name) for name in ("ann", "bob")] == ["missed", "called"]
    await sale.room.leave(sale.sale_id, ticket_of("bob"))
    await sale.tick()
    assert await sale.state("cleo") == "called"
    await sale.claim("cleo")
    await sale.room.leave(sale.sale_id, ticket_of("cleo"))
    await sale.tick()
    assert await sale.state("dan") == "called"


async def test_the_call_that_fills_a_free_slot_obeys_the_rate(sale: OneSale) -> None:
    await sale.change(capacity=1)
    await sale.call("ann")
    await sale.room.join(sale.sale_id, ticket_of("bob"))
    await sale.room.leave(sale.sale_id, ticket_of("ann"))
    assert (await sale.tick(rate=0)).calls == 0
    await sale.change(calls_per_minute=1)
    assert (await sale.tick()).calls == 0, "one call stands in the last 60 seconds already"
    await sale.pass_time(60)
    assert (await sale.tick()).calls == 1


async def test_an_outage_costs_nobody_a_turn(sale: OneSale) -> None:
    await sale.call("ann")
    for wrong in (3_600_000, -3_600_000):  # a leader that was stopped for an hour; a clock that was set back
        before = (await sale.tick(0)).clock_ms
        after = (await sale.tick(wrong)).clock_ms
        assert 0 <= after - before <= 1_000
    assert await sale.state("ann") == "called"


async def test_a_claim_admits_and_the_same_claim_again_gives_the_same_pass(sale: OneSale) -> None:
    first = await sale.admit("ann")
    assert first.jti == f"{ticket_of('ann')}.{first.turn}"
    assert first.exp - first.iat == 900
    assert await sale.state("ann") == "admitted"
    await sale.pass_time(3)
    again = await sale.room.claim(sale.sale_id, ticket_of("ann"), "ann", kid="another-key-by-now")
    assert again == first


async def test_nobody_claims_before_the_call_or_after_the_turn(sale: OneSale) -> None:
    with pytest.raises(NoTicket):
        await sale.claim("ann")
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    with pytest.raises(NotCalledYet) as early:
        await sale.claim("ann")
    assert early.value.retry_after_s >= 1
    await sale.tick()
    await sale.pass_time(121)
    with pytest.raises(TurnLapsed):
        await sale.claim("ann")


async def test_a_halt_refuses_claims_and_takes_no_time_from_the_turn(sale: OneSale) -> None:
    await sale.call("ann")
    turn = (await sale.record("ann"))["turn"]
    await sale.change(control="halted")
    with pytest.raises(Halted):
        await sale.claim("ann")
    await sale.pass_time(300)
    await sale.change(control="running")
    assert (await sale.claim("ann")).turn == turn


@pytest.mark.parametrize("change", [{"control": "closed"}, {"closes_at_ms": 1}, {"control": "draining"}])
async def test_the_called_and_the_admitted_keep_window_and_pass_when_the_sale_closes(
    sale: OneSale, change: dict[str, object]
) -> None:
    await sale.admit("ann")
    await sale.call("bob")
    await sale.change(**change)
    await sale.pass_time(10)
    assert [await sale.state(name) for name in ("ann", "bob")] == ["admitted", "called"]
    await sale.claim("ann")
    await sale.claim("bob")


async def test_lowering_the_capacity_takes_no_turn_back(sale: OneSale) -> None:
    await sale.call("ann", "bob", "cleo")
    await sale.change(capacity=1, calls_per_minute=1)
    await sale.room.join(sale.sale_id, ticket_of("dan"))
    await sale.tick()
    states = [await sale.state(name) for name in ("ann", "bob", "cleo", "dan")]
    assert states == ["called", "called", "called", "waiting"]


async def test_a_pass_that_buys_nothing_frees_its_slot_when_it_ends(sale: OneSale) -> None:
    await sale.change(pass_ms=5_000)
    claim = await sale.admit("ann")
    reply = await sale.pass_time(4)
    assert reply.shopping == 1
    reply = await sale.pass_time(1)
    assert reply.shopping == 0
    assert await sale.state("ann") == "lapsed"
    assert await sale.client.hget(sale.keys.passes, claim.jti) == "expired"


async def test_a_live_order_keeps_the_slot_until_the_order_ends(sale: OneSale) -> None:
    await sale.change(pass_ms=5_000)
    await sale.admit("ann")
    await sale.order("ann")
    assert (await sale.pass_time(30)).ordering == 1
    with pytest.raises(OrderOpen):
        await sale.room.leave(sale.sale_id, ticket_of("ann"))
    await sale.outcome("ann", "paid")
    assert (await sale.tick()).ordering == 0
    place = await sale.room.look(sale.sale_id, ticket_of("ann"))
    assert (place.state, place.outcome) == ("done", "paid")


async def test_a_rejected_order_gives_the_pass_back_while_it_lasts(sale: OneSale) -> None:
    first = await sale.admit("ann")
    await sale.order("ann")
    await sale.outcome("ann", "rejected")
    reply = await sale.tick()
    assert (reply.shopping, reply.ordering) == (1, 0)
    assert await sale.claim("ann") == first


async def test_a_late_word_of_a_rejection_does_not_take_the_slot_of_the_next_order(sale: OneSale) -> None:
    await sale.admit("ann")
    await sale.order("ann", "first")
    await sale.outcome("ann", "rejected")
    await sale.order("ann", "second")  # before any tick has heard of the rejection
    reply = await sale.tick()
    assert (reply.shopping, reply.ordering) == (0, 1)


async def test_repeated_unknown_and_outdated_outcomes_change_nothing(sale: OneSale) -> None:
    first = await sale.admit("ann")
    await sale.order("ann")
    await sale.outcome("ann", "ended")
    await sale.tick()
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.tick()
    second = await sale.claim("ann")
    assert second.turn == first.turn + 1
    words = [
        f"{first.jti} ended",
        f"{first.jti} paid",
        f"{ticket_of('zoe')}.1 paid",
        "nonsense",
    ]
    await sale.client.rpush(sale.keys.outcomes, *words)
    assert (await sale.tick()).shopping == 1
    assert await sale.state("ann") == "admitted"
    assert await sale.client.llen(sale.keys.outcomes) == 0


async def test_the_backstop_frees_a_slot_whose_order_was_never_heard_of_again(sale: OneSale) -> None:
    await sale.admit("ann")
    await sale.order("ann")
    await sale.client.zadd(sale.keys.ordering, {ticket_of("ann"): 1})
    assert (await sale.tick()).ordering == 0
    await sale.outcome("ann", "paid")
    await sale.tick()
    place = await sale.room.look(sale.sale_id, ticket_of("ann"))
    assert (place.state, place.outcome) == ("done", "paid"), "a payment after the backstop is still told"


async def test_a_store_that_lost_everything_never_makes_a_pass_again(sale: OneSale) -> None:
    before = await sale.admit("ann")
    await sale.client.flushall()
    await sale.begin()
    assert (await sale.admit("ann")).jti != before.jti, "the first one may have bought already"


@pytest.mark.parametrize("word", ["paid", "ended", None])
async def test_an_order_by_a_pass_of_a_lost_store_frees_its_slot_and_takes_no_new_turn_along(
    sale: OneSale, word: str | None
) -> None:
    before = await sale.admit("ann")
    await sale.client.flushall()
    await sale.begin()
    await sale.call("ann")
    await sale.client.hset(sale.keys.passes, before.jti, "order")  # as accept.lua left it, before the call
    await sale.client.zadd(sale.keys.ordering, {ticket_of("ann"): 60_000 if word else 1})
    if word:
        await sale.client.rpush(sale.keys.outcomes, f"{before.jti} {word}")
    assert (await sale.tick()).ordering == 0
    assert await sale.state("ann") == "called"
    await sale.claim("ann")


async def test_the_backstop_of_an_older_order_takes_no_turn_along_that_was_claimed_since(
    sale: OneSale,
) -> None:
    before = await sale.admit("ann")
    await sale.client.flushall()
    await sale.begin()
    await sale.client.hset(sale.keys.passes, before.jti, "order")
    await sale.client.zadd(sale.keys.ordering, {ticket_of("ann"): 60_000})
    now = await sale.admit("ann")
    reply = await sale.pass_time(61)
    assert (reply.ordering, reply.shopping) == (0, 1)
    assert await sale.claim("ann") == now


async def test_the_end_of_an_older_order_leaves_the_slot_of_the_present_one(sale: OneSale) -> None:
    before = await sale.admit("ann")
    await sale.client.flushall()
    await sale.begin()
    await sale.admit("ann")
    await sale.order("ann")
    await sale.client.rpush(sale.keys.outcomes, f"{before.jti} ended")
    assert (await sale.tick()).ordering == 1


async def test_leaving_in_the_middle_of_a_turn_frees_the_slot_and_ends_the_pass(sale: OneSale) -> None:
    claim = await sale.admit("ann")
    await sale.room.leave(sale.sale_id, ticket_of("ann"))
    await sale.room.leave(sale.sale_id, ticket_of("ann"))
    reply = await sale.tick()
    assert (reply.called, reply.shopping) == (0, 0)
    assert await sale.client.hget(sale.keys.passes, claim.jti) == "left"
    with pytest.raises(TurnLapsed):
        await sale.claim("ann")


async def test_every_call_claim_miss_lapse_and_freed_slot_is_in_the_call_log(sale: OneSale) -> None:
    await sale.change(comeback_ms=5_000)
    turn = (await sale.admit("ann")).turn
    await sale.order("ann")
    await sale.outcome("ann", "paid")
    await sale.call("bob")
    await sale.pass_time(130)
    rows = await sale.room.read_calls(sale.sale_id, 100)
    told = [(row.event, row.ticket_id, row.turn) for row in rows]
    ann, bob = ticket_of("ann"), ticket_of("bob")
    assert told == [
        ("call", ann, turn),
        ("claim", ann, turn),
        ("free", ann, turn),
        ("call", bob, turn),
        ("miss", bob, turn),
        ("lapse", bob, turn),
    ]
    await sale.room.trim_calls(sale.sale_id, rows[2].stream_id)
    assert [row.entry_id for row in await sale.room.read_calls(sale.sale_id, 100)] == [
        row.entry_id for row in rows[3:]
    ]


async def test_the_lead_can_be_taken_only_when_it_is_free(sale: OneSale) -> None:
    assert not await sale.room.take_lease(sale.sale_id, "another", 1_000)
    await sale.room.release_lease(sale.sale_id, "another")
    assert not await sale.room.take_lease(sale.sale_id, "another", 1_000)
    await sale.room.release_lease(sale.sale_id, LEADER)
    assert await sale.room.take_lease(sale.sale_id, "another", 1_000)


async def test_an_estimate_goes_by_how_fast_slots_become_free_when_these_hold_the_line(sale: OneSale) -> None:
    await sale.change(capacity=2)
    names = [f"buyer{n}" for n in range(20)]
    for name in names:
        await sale.room.join(sale.sale_id, ticket_of(name))
    await sale.tick()
    for name in names[:8]:  # every ten seconds somebody gives a slot back: six a minute
        await sale.pass_time(10, rate=10)
        await sale.room.leave(sale.sale_id, ticket_of(name))
    await sale.tick()
    place = await sale.room.look(sale.sale_id, ticket_of(names[-1]))
    assert place.ahead == 9
    assert place.estimate is not None
    assert place.estimate.low_s is not None
    assert place.estimate.high_s is not None
    assert place.estimate.low_s < 100 < place.estimate.high_s < 200, (
        "at the set rate it would be a tenth of a second"
    )
    assert place.estimate.reason == "checkout_slow"

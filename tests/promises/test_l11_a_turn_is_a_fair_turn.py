"""L11: a turn is a fair turn."""

from __future__ import annotations

import time

import pytest

from tests.model.scripts import source_with_a_clock_of_its_own
from tests.promises.one_sale import LEADER, OneSale, ticket_of
from waiting_room.refusals import (
    AlreadyExtended,
    Halted,
    NotCalled,
    NotCalledYet,
    NoTicket,
    TurnLapsed,
)
from waiting_room.room import Room


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


async def test_a_halt_that_outlasts_a_pass_costs_nobody_the_checkout(sale: OneSale) -> None:
    sale.room = Room(sale.client, source=source_with_a_clock_of_its_own)
    wall_ms = int(time.time() * 1000)
    await sale.client.set(f"{sale.keys.settings}:wall", wall_ms)
    first = await sale.admit("ann")
    await sale.pass_time(600)
    await sale.change(control="halted")
    wall_ms += 3_600_000
    await sale.client.set(f"{sale.keys.settings}:wall", wall_ms)
    await sale.change(control="running", closes_at_ms=wall_ms + 3_600_000)

    again = await sale.claim("ann")
    assert (again.jti, again.turn) == (first.jti, first.turn), "it buys once, whatever it was given again"
    assert (again.iat, again.exp) == (wall_ms // 1000, (wall_ms + 300_000) // 1000), (
        "a third of its life was left"
    )
    assert await sale.claim("ann") == again
    await sale.pass_time(301)
    assert await sale.state("ann") == "lapsed"
    with pytest.raises(TurnLapsed):
        await sale.claim("ann")


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

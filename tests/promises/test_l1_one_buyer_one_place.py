"""L1: one buyer, one place."""

from __future__ import annotations

import asyncio

import pytest

from tests.promises.one_sale import OneSale, live_places, settings_fields, ticket_of
from waiting_room.refusals import LineClosed, NoTicket, SoldOut, TooEarly
from waiting_room.room import Room


async def test_a_thousand_parallel_joins_of_one_account_give_one_place(sale: OneSale) -> None:
    tabs = [Room(sale.client, within_s=30) for _ in range(3)]
    places = await asyncio.gather(*(tabs[n % 3].join(sale.sale_id, ticket_of("ann")) for n in range(1_000)))
    assert len({place.number for place in places}) == 1
    assert sum(place.created for place in places) == 1
    assert await live_places(sale) == 1


async def test_joining_again_changes_nothing_while_the_place_lives(sale: OneSale) -> None:
    joined = await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert joined.created
    steps = [("waiting", None), ("called", sale.tick), ("admitted", lambda: sale.claim("ann"))]
    for state, step in steps:
        if step:
            await step()
        again = await sale.room.join(sale.sale_id, ticket_of("ann"))
        assert (again.state, again.number, again.created) == (state, joined.number, False)
        assert await live_places(sale) == 1
    await sale.order("ann")
    await sale.outcome("ann", "paid")
    await sale.tick()
    done = await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert (done.state, done.created, done.outcome) == ("done", False, "paid")
    assert await live_places(sale) == 0


async def test_who_left_or_ended_without_a_purchase_may_join_anew_at_the_end(sale: OneSale) -> None:
    first = await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.room.join(sale.sale_id, ticket_of("bob"))
    await sale.room.leave(sale.sale_id, ticket_of("ann"))
    assert await sale.state("ann") == "left"
    second = await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert second.created
    assert second.number > first.number
    assert second.ahead == 1
    await sale.tick()
    before = await sale.claim("ann")
    await sale.order("ann")
    await sale.outcome("ann", "ended")
    await sale.tick()
    assert (await sale.room.look(sale.sale_id, ticket_of("ann"))).outcome == "ended"
    third = await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert third.created
    assert third.number > second.number
    await sale.tick()
    assert (await sale.claim("ann")).turn == before.turn + 1, "no pass is ever made twice"


async def test_joining_and_leaving_in_parallel_never_leaves_two_places(sale: OneSale) -> None:
    for _ in range(20):
        steps = [sale.room.join(sale.sale_id, ticket_of("ann")) for _ in range(5)]
        await asyncio.gather(*steps, sale.room.leave(sale.sale_id, ticket_of("ann")), sale.tick())
        assert await live_places(sale) <= 1


async def test_a_refused_join_takes_no_number(sale: OneSale) -> None:
    before = await sale.room.join(sale.sale_id, ticket_of("ann"))
    far = 10**13
    refusals = [
        ({"lobby_opens_at_ms": far, "opens_at_ms": far, "closes_at_ms": far}, TooEarly),
        ({"control": "draining"}, LineClosed),
        ({"control": "closed"}, LineClosed),
        ({"control": "cancelled"}, LineClosed),
        ({"closes_at_ms": 1}, LineClosed),
    ]
    for changes, refusal in refusals:
        await sale.client.hset(sale.keys.settings, mapping=settings_fields(**changes))
        with pytest.raises(refusal):
            await sale.room.join(sale.sale_id, ticket_of("bob"))
        with pytest.raises(NoTicket):
            await sale.room.look(sale.sale_id, ticket_of("bob"))
        assert not (await sale.room.join(sale.sale_id, ticket_of("ann"))).created, (
            "a live place is not refused"
        )
    await sale.client.hset(sale.keys.settings, mapping=settings_fields())
    await sale.stock(allotted=5, sold=5)
    with pytest.raises(SoldOut):
        await sale.room.join(sale.sale_id, ticket_of("bob"))
    assert await sale.state("ann") == "sold_out"
    await sale.stock(allotted=5, held=2, sold=3)
    after = await sale.room.join(sale.sale_id, ticket_of("bob"))
    assert after.state == "all_held", "units that are only held may return, so the line takes joins"
    assert after.number == before.number + 1


async def test_joins_go_on_while_the_sale_is_paused_or_halted(sale: OneSale) -> None:
    for control in ("paused", "halted"):
        await sale.change(control=control)
        assert (await sale.room.join(sale.sale_id, ticket_of(control))).state == "waiting"


async def test_two_sales_know_nothing_of_each_other(sale: OneSale) -> None:
    other = await OneSale(sale.client, "sale0000002").begin()
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    with pytest.raises(NoTicket):
        await other.room.look(other.sale_id, ticket_of("ann", other.sale_id))

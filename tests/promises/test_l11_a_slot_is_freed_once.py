"""L11: every slot is freed, once, and never by what does not hold it: outcomes of orders, passes that end, turns given up."""

from __future__ import annotations

import pytest

from tests.promises.one_sale import OneSale, ticket_of
from waiting_room.refusals import (
    OrderOpen,
    TurnLapsed,
)


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

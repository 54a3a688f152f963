"""L1 for guests: a device has one place, and an account that comes with it takes the place over in one step, keeping the lower one."""

from __future__ import annotations

import asyncio

import pytest

from tests.promises.one_line import Line
from tests.promises.one_sale import SALE_ID, OneSale, live_places, ticket_of
from waiting_room import ticket
from waiting_room.refusals import AlreadyExtended
from waiting_room.room import Room
from waiting_room.ticket import Ticket


def device_of(name: str) -> str:
    """The ticket id of the device of that name."""
    return ticket.guest_ticket_id(b"k" * 32, SALE_ID, name)


async def guest(sale: OneSale, name: str) -> int:
    """The number of the device of that name, which joins."""
    return (await sale.room.join(sale.sale_id, device_of(name))).number


async def adopt(sale: OneSale, device: str, account: str) -> bool:
    return await sale.room.adopt(sale.sale_id, device_of(device), ticket_of(account))


async def device_state(sale: OneSale, name: str) -> str:
    return (await sale.room.look(sale.sale_id, device_of(name))).state.value


async def number_of(sale: OneSale, account: str) -> int:
    return (await sale.room.look(sale.sale_id, ticket_of(account))).number


def test_the_ticket_of_a_device_is_told_from_that_of_an_account() -> None:
    assert ticket.is_guest(device_of("phone"))
    assert not ticket.is_guest(ticket_of("phone"))
    assert len(device_of("phone")) == 14
    keys = ticket.TicketKeys({"k1": b"k" * 32})
    held = Ticket(SALE_ID, device_of("phone"), 5, "store")
    assert ticket.read(ticket.issue(held, "k1", keys), SALE_ID, keys) == held


async def test_a_thousand_parallel_joins_of_one_device_give_one_place(sale: OneSale) -> None:
    tabs = [Room(sale.client, within_s=30) for _ in range(3)]
    places = await asyncio.gather(*(tabs[n % 3].join(sale.sale_id, device_of("phone")) for n in range(1_000)))
    assert sum(place.created for place in places) == 1
    assert await live_places(sale) == 1


async def test_a_waiting_place_moves_with_its_number_and_the_devices_has_ended(sale: OneSale) -> None:
    number = await guest(sale, "phone")
    await sale.room.join(sale.sale_id, ticket_of("bob"))
    assert await adopt(sale, "phone", "ann")
    assert (await number_of(sale, "ann"), await sale.state("ann")) == (number, "waiting")
    assert await device_state(sale, "phone") == "left"
    assert not await adopt(sale, "phone", "ann"), "twice is once"
    assert await live_places(sale) == 2


async def test_of_two_waiting_places_the_lower_number_stays(sale: OneSale) -> None:
    first = await guest(sale, "phone")
    second = (await sale.room.join(sale.sale_id, ticket_of("ann"))).number
    await guest(sale, "laptop")
    assert await adopt(sale, "laptop", "ann")
    assert await number_of(sale, "ann") == second, "the own one is the lower one"
    assert await adopt(sale, "phone", "ann")
    assert await number_of(sale, "ann") == first
    assert await live_places(sale) == 1
    assert [await device_state(sale, name) for name in ("phone", "laptop")] == ["left", "left"]


async def test_a_turn_moves_with_what_is_left_of_it(sale: OneSale) -> None:
    await guest(sale, "phone")
    await sale.tick()
    await sale.room.extend(sale.sale_id, device_of("phone"))
    await sale.pass_time(30)
    before = await sale.room.look(sale.sale_id, device_of("phone"))
    assert await adopt(sale, "phone", "ann")
    after = await sale.room.look(sale.sale_id, ticket_of("ann"))
    assert after.state == "called"
    assert after.turn_expires_at_ms is not None
    assert before.turn_expires_at_ms is not None
    assert abs(after.turn_expires_at_ms - before.turn_expires_at_ms) < 1_000
    with pytest.raises(AlreadyExtended):
        await sale.room.extend(sale.sale_id, ticket_of("ann"))
    assert (await sale.claim("ann")).account_id == "ann"
    assert await live_places(sale) == 1


async def test_a_turn_that_nobody_has_seen_stays_unseen(sale: OneSale) -> None:
    await guest(sale, "phone")
    await sale.tick()
    assert await adopt(sale, "phone", "ann")
    await sale.pass_time(46)
    assert await sale.state("ann") == "missed"


async def test_a_missed_turn_moves_with_its_miss(sale: OneSale) -> None:
    await guest(sale, "phone")
    await sale.tick()
    await sale.pass_time(121)
    assert await adopt(sale, "phone", "ann")
    assert await sale.state("ann") == "missed"
    back = await sale.room.join(sale.sale_id, ticket_of("ann"))
    assert back.rejoined
    await sale.tick()
    await sale.pass_time(121)
    assert await sale.state("ann") == "lapsed", "the second miss ends the place, whoever missed the first"
    assert await live_places(sale) == 0


async def test_the_turn_that_is_given_up_frees_its_slot(sale: OneSale) -> None:
    await sale.change(capacity=1)
    await guest(sale, "phone")
    await sale.tick()
    await sale.pass_time(121)  # the phone has missed its turn, and keeps number 1
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    await sale.room.join(sale.sale_id, ticket_of("bob"))
    await sale.tick()
    assert await sale.state("ann") == "called"
    await sale.room.join(sale.sale_id, device_of("phone"))
    assert await adopt(sale, "phone", "ann")
    assert await sale.state("ann") == "waiting", "the lower number waits, next to be called"
    await sale.tick()
    assert [await sale.state(name) for name in ("ann", "bob")] == ["called", "waiting"]


async def test_who_is_in_checkout_or_has_bought_keeps_that_and_loses_the_devices_place(sale: OneSale) -> None:
    claim = await sale.admit("ann")
    await guest(sale, "phone")
    assert await adopt(sale, "phone", "ann")
    assert (await sale.claim("ann")).jti == claim.jti
    await sale.order("ann")
    await sale.outcome("ann", "paid")
    await sale.tick()
    await guest(sale, "laptop")
    assert await adopt(sale, "laptop", "ann")
    assert await sale.state("ann") == "done"
    assert await live_places(sale) == 0


async def test_a_pass_of_an_earlier_turn_is_never_made_again(sale: OneSale) -> None:
    earlier = await sale.admit("ann")
    await sale.room.leave(sale.sale_id, ticket_of("ann"))
    await guest(sale, "phone")
    await sale.tick()
    assert await adopt(sale, "phone", "ann")
    assert (await sale.claim("ann")).jti != earlier.jti


async def test_many_who_take_one_place_over_at_once_share_nothing(sale: OneSale) -> None:
    """Two accounts on one shared device: one of them gets the place, whole."""
    number = await guest(sale, "phone")
    names = [f"buyer{n}" for n in range(20)]
    took = await asyncio.gather(*(adopt(sale, "phone", name) for name in names))
    assert sum(took) == 1
    assert await live_places(sale) == 1
    assert await number_of(sale, names[took.index(True)]) == number


async def test_joins_calls_and_takeovers_at_once_leave_one_place_for_each(sale: OneSale) -> None:
    names = [f"buyer{n}" for n in range(40)]
    await asyncio.gather(*(guest(sale, name) for name in names))

    async def take_over(name: str) -> None:
        await sale.room.join(sale.sale_id, ticket_of(name))
        await adopt(sale, name, name)

    await asyncio.gather(*(take_over(name) for name in names), *(sale.tick() for _ in range(20)))
    await asyncio.gather(*(adopt(sale, name, name) for name in names))
    assert await live_places(sale) == len(names)
    assert {await device_state(sale, name) for name in names} == {"left"}


@pytest.mark.parametrize("state", ["waiting", "called", "missed"])
async def test_after_a_loss_the_account_has_the_place_and_the_device_none(line: Line, state: str) -> None:
    place = await line.room.join(line.sale_id, device_of("phone"))
    old = Ticket(line.sale_id, device_of("phone"), place.number, place.store_id)
    if state != "waiting":
        await line.tick()
    if state == "missed":
        await line.pass_time(121)
    assert await adopt(line, "phone", "ann")
    await line.look("ann")
    await line.copy_log()
    await line.lose()
    gone = await line.room.look(line.sale_id, device_of("phone"), old)
    assert gone.state == "left", "the old ticket wins nothing"
    again = await line.look("ann")
    assert (again.state, again.number) == (state, place.number)
    assert await live_places(line) == 1

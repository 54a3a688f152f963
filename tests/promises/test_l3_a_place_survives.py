"""L3: a place survives an emptied Redis, because the signed ticket in the buyer's hands carries it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.promises.one_line import BLOCK, STOCK, Line, busy, note_orders, settle, shuffled
from tests.promises.one_sale import live_places, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.controller import Controller
from waiting_room.place import Place
from waiting_room.refusals import NoTicket, RoomUnavailable
from waiting_room.ticket import Ticket
from waiting_room.together import MOST_TOGETHER

PASS_S = 900
GRACE_S = 30
WITHIN_S = 8.0


@pytest.mark.parametrize("control", ["running", "paused"])
async def test_everybody_finds_the_own_place_in_an_emptied_store_in_whatever_order_they_come_back(
    line: Line, control: str
) -> None:
    people = await busy(line)
    everybody = [name for names in people.values() for name in names]
    before = {name: (await line.look(name)).number for name in everybody}
    claims = {name: await line.claim(name) for name in people["admitted"]}
    note_orders(line, everybody)
    await line.copy_log()
    line.books.change_sale(line.sale_id, control=control)
    await line.lose()

    newcomers = [f"newcomer{n}" for n in range(20)]
    for name in shuffled([*everybody, *newcomers]):
        if name.startswith(("buyer", "newcomer")) and random.Random(name).random() < 0.5:
            assert (await line.join(name)).created == name.startswith("newcomer")
        elif name.startswith("newcomer"):
            assert (await line.join(name)).created
        else:
            await line.look(name)
    for state, names in people.items():
        assert set(await line.states(*names)) == {state}
    assert {name: (await line.look(name)).number for name in everybody} == before
    assert await line.client.zcard(line.keys.turns) == len(people["called"])
    assert await line.client.zcard(line.keys.ordering) == 5
    assert {name: await line.claim(name) for name in claims} == claims, "the same pass to the byte"
    ended = people["done"] + people["lapsed"]
    assert await live_places(line) == len(everybody) + len(newcomers) - len(ended), "nobody holds two places"
    newest = max(before.values())
    assert min([(await line.look(name)).number for name in newcomers]) > newest
    assert (await line.look("paid0")).outcome == "paid"

    line.books.change_sale(line.sale_id, control="running")
    await line.books.publish(line.sale_id)
    await line.change(capacity=10_000)
    called: list[str] = []
    waiting = people["waiting"]
    while len(called) < len(waiting):
        await line.tick(rate=50)
        called += [
            name
            for name in waiting
            if name not in called and (await line.record(name)).get("state") == "called"
        ]
    assert called == waiting, "in the order of the numbers"
    assert await line.states(*newcomers) == ["waiting"] * len(newcomers)


async def test_a_called_buyer_gets_a_full_turn_window_and_a_missed_one_the_whole_come_back_time(
    line: Line,
) -> None:
    await line.change(comeback_ms=20_000)
    await line.call("ann")
    await line.pass_time(119)
    await line.copy_log()
    line.books.change_sale(line.sale_id, comeback_ms="20000")
    await line.lose()
    await line.pass_time(119)
    assert await line.states("ann") == ["called"], "although no poll has seen it for 45 s"
    await line.pass_time(1)
    assert await line.states("ann") == ["missed"]
    await line.copy_log()
    await line.pass_time(19)
    await line.lose()
    await line.pass_time(19)
    assert await line.states("ann") == ["missed"]
    await line.join("ann")
    await line.copy_log()
    await line.lose()
    assert await line.states("ann") == ["waiting"], "coming back is in the log as well"
    await line.tick()
    await line.pass_time(121)
    assert await line.states("ann") == ["lapsed"], "the first miss is not forgotten"


async def test_the_number_is_there_at_once_and_the_position_after_one_longest_poll(line: Line) -> None:
    for name in ("ann", "bob"):
        before = await line.join(name)
        assert before.position is not None
    await line.lose()
    place = await line.look("bob")
    assert (place.number, place.store_id) != (before.number, before.store_id)
    assert place.number == before.number
    assert (place.position, place.ahead, place.waiting) == (None, None, None)
    assert place.estimate is not None
    assert (place.estimate.low_s, place.estimate.reason) == (None, "rebuilding")
    await line.look("ann")
    await settle(line)
    place = await line.look("bob")
    assert (place.position, place.ahead, place.waiting) == (2, 1, 2)


async def test_a_turn_number_is_never_given_twice_however_much_was_lost(line: Line) -> None:
    given: set[str] = set()
    for _ in range(3):
        await line.join("ann")
        await line.tick()
        given.add((await line.claim("ann")).jti)
        await line.client.flushall()  # neither the call nor the claim was copied
        await line.confirm()
        await line.look("ann")
    assert len(given) == 3


async def test_who_comes_back_at_the_same_moment_finds_the_old_places_by_few_scripts_each_by_an_answer_of_its_own(
    line: Line,
) -> None:
    names = [f"buyer{n}" for n in range(4 * MOST_TOGETHER)]
    for name in names:
        await line.join(name)
    before = {name: line.tickets[name].number for name in names}
    await line.lose()
    await line.client.hset(line.keys.served, ticket_of("buyer7"), "broken")
    crowd = [*shuffled(names), "stranger", *names[:20]]
    scripts = await scripts_run(line.client)
    found = await asyncio.gather(*(line.look(name) for name in crowd), return_exceptions=True)
    assert await scripts_run(line.client) - scripts <= 6
    for name, place in zip(crowd, found, strict=True):
        if name == "buyer7":
            assert isinstance(place, RoomUnavailable)
        elif name == "stranger":
            assert isinstance(place, NoTicket)
        else:
            assert isinstance(place, Place)
            assert (place.number, place.created) == (before[name], False)
    standing = await line.client.zrange(line.keys.line, 0, -1)
    assert standing == [ticket_of(name) for name in names if name != "buyer7"], "in order, nobody twice"


async def scripts_run(client: Redis) -> int:
    """How many scripts were run so far."""
    counted = await client.info("commandstats")
    return int(counted["cmdstat_evalsha"]["calls"])


# ---------------------------------------------------------------- tickets that win nothing


async def test_a_ticket_of_the_present_store_that_it_does_not_know_stays_unknown(line: Line) -> None:
    ann = await line.join("ann")
    await line.client.zrem(line.keys.line, ticket_of("ann"))
    with pytest.raises(NoTicket):
        await line.look("ann")
    other = await line.join("bob")
    never_given = Ticket(line.sale_id, ticket_of("cleo"), other.number + BLOCK, "an earlier store")
    with pytest.raises(NoTicket):
        await line.replay("cleo", never_given)
    assert other.number > ann.number


async def test_of_two_tickets_of_one_buyer_the_lower_number_wins_in_whatever_order_they_are_shown(
    line: Line,
) -> None:
    await line.join("ann")
    old = line.tickets["ann"]
    await line.lose()
    del line.tickets["ann"]
    newcomer = await line.join("ann")
    assert newcomer.number > old.number
    assert (await line.replay("ann", old)).number == old.number
    assert await live_places(line) == 1
    newer = Ticket(line.sale_id, ticket_of("ann"), newcomer.number, newcomer.store_id)
    assert (await line.replay("ann", newer)).number == old.number
    await line.lose()
    assert (await line.replay("ann", newer)).number == newer.number
    assert (await line.replay("ann", old)).number == old.number
    assert (await line.replay("ann", newer)).number == old.number
    assert await live_places(line) == 1


async def test_what_the_store_knows_beats_every_older_ticket(line: Line) -> None:
    names = ("left", "again", "lapsed", "paid", "ended", "leaver")
    for name in names:
        await line.join(name)
    old = dict(line.tickets)
    await line.lose()
    for name in names:
        await line.look(name)
    await line.tick()
    for name in ("paid", "ended"):
        await line.claim(name)
        await line.order(name)
        await line.outcome(name, name)
    for name in ("left", "again", "leaver"):
        await line.room.leave(line.sale_id, ticket_of(name))
    await line.pass_time(121)
    await line.join("lapsed")
    await line.tick()
    await line.pass_time(121)
    rejoined = await line.join("again")
    expected = {"left": "left", "lapsed": "lapsed", "paid": "done", "ended": "done", "leaver": "left"}
    for name, state in expected.items():
        assert (await line.replay(name, old[name])).state == state
    assert (await line.replay("again", old["again"])).number == rejoined.number > old["again"].number
    assert await live_places(line) == 1


async def test_who_left_while_waiting_gets_no_place_back_by_a_ticket_of_before_the_restart(
    line: Line, redis_server: PrivateRedis
) -> None:
    await line.join("ann")
    old = line.tickets["ann"]
    redis_server.restart()
    await line.confirm()
    await line.look("ann")
    await line.room.leave(line.sale_id, ticket_of("ann"))
    assert (await line.replay("ann", old)).state == "left"
    rejoined = await line.join("ann")
    assert (await line.replay("ann", old)).number == rejoined.number
    redis_server.restart()
    await line.confirm()
    assert (await line.replay("ann", old)).number == rejoined.number


async def test_a_place_taken_after_a_turn_had_ended_survives_and_the_ended_one_does_not(line: Line) -> None:
    await line.call("ann")
    ended = line.hold("ann", await line.room.look(line.sale_id, ticket_of("ann")))
    first = line.tickets["ann"]
    await line.room.leave(line.sale_id, ticket_of("ann"))
    second = await line.join("ann")
    await line.copy_log()
    await line.lose()
    assert (await line.replay("ann", first)).state == "left"
    back = await line.look("ann")
    assert (back.state, back.number) == ("waiting", second.number)
    assert second.number > ended.number
    assert (await line.replay("ann", first)).number == second.number


async def test_leaving_after_a_loss_needs_no_poll_before(line: Line) -> None:
    await line.join("ann")
    old = line.tickets["ann"]
    await line.lose()
    await line.room.leave(line.sale_id, ticket_of("ann"), old)
    assert (await line.replay("ann", old)).state == "left"


# ---------------------------------------------------------------- with a controller


async def test_a_line_that_is_emptied_while_it_calls_goes_on_in_order(
    redis_async: Redis, books: PaperBooks
) -> None:
    line = Line(redis_async, books=books)
    books.open_sale(line.sale_id, settings_fields(calls_per_minute=3_000, capacity=10_000), STOCK)
    stop = asyncio.Event()
    running = asyncio.create_task(Controller(line.room, books, token="ours").run(stop))
    names = [f"buyer{n}" for n in range(200)]
    for name in names:
        await patient(line.join, name)
    await asyncio.sleep(1)
    before = {name: line.tickets[name].number for name in names}
    await line.client.flushall()
    for name in shuffled(names):
        assert (await patient(line.look, name)).number == before[name]
    assert await live_places(line) == len(names)
    end = asyncio.get_running_loop().time() + WITHIN_S
    while await line.client.zcard(line.keys.line):
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.05)
    stop.set()
    await running
    assert set(await line.states(*names)) == {"called"}
    records = [await line.record(name) for name in names]
    assert {record["number"] for record in records} == set(before.values())


async def patient(step: Any, name: str) -> Place:
    """Try until the line is confirmed; so does every page."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                place: Place = await step(name)
            except RoomUnavailable:
                await asyncio.sleep(0.02)
            else:
                return place

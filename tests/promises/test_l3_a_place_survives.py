"""L3: a place survives an emptied, restarted or set-back Redis, because the signed ticket in the buyer's hands carries it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.promises.one_sale import LEADER, LEASE_MS, OneSale, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from tests.promises.test_l1_one_buyer_one_place import live_places
from waiting_room.confirmation import TRIES_TO_READ_LOG, Confirmation
from waiting_room.controller import Controller
from waiting_room.place import Place
from waiting_room.polling import PollLimits
from waiting_room.refusals import NoTicket, RoomUnavailable, TurnLapsed
from waiting_room.room import Room
from waiting_room.ticket import Ticket

STOCK = {"version": "1", "allotted": "1000", "held": "0", "sold": "0"}
BLOCK = 10_000
PASS_S = 900
GRACE_S = 30
CEILING_MS = 400
WITHIN_S = 8.0


@dataclass
class Line(OneSale):
    """A sale with books, whose store may be lost, and the tickets in its buyers' hands."""

    books: PaperBooks = field(kw_only=True)
    tickets: dict[str, Ticket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.room = Room(self.client, polls=PollLimits(ceiling_ms=CEILING_MS))
        self.confirmation = Confirmation(self.sale_id, self.room, self.books, token=LEADER, lease_ms=LEASE_MS)

    async def confirm(self) -> None:
        """What a leader does with a store that is not confirmed."""
        with suppress(RoomUnavailable):  # the connection of before a restart
            await self.room.take_lease(self.sale_id, LEADER, LEASE_MS)
        assert await self.room.take_lease(self.sale_id, LEADER, LEASE_MS)
        assert await self.confirmation.confirm(BLOCK)

    async def copy_log(self) -> None:
        """What a leader does every half second."""
        await self.books.copy_calls(self.sale_id, await self.room.read_calls(self.sale_id, 10_000))
        line = (await self.room.lines([self.sale_id]))[self.sale_id]
        await self.books.note_copied(self.sale_id, line.now_ms)

    async def lose(self) -> None:
        """Everything is gone; a leader finds the empty store."""
        await self.client.flushall()
        await self.confirm()

    def hold(self, name: str, place: Place) -> Place:
        """The buyer gets the ticket that the gateway makes of an answer."""
        self.tickets[name] = Ticket(self.sale_id, ticket_of(name), place.mark, place.store_id)
        return place

    async def join(self, name: str) -> Place:
        """Join with whatever ticket the buyer holds."""
        place = await self.room.join(self.sale_id, ticket_of(name), self.tickets.get(name))
        return self.hold(name, place)

    async def look(self, name: str) -> Place:
        """Poll with the ticket that the buyer holds."""
        place = await self.room.look(self.sale_id, ticket_of(name), self.tickets.get(name))
        return self.hold(name, place)

    async def replay(self, name: str, ticket: Ticket) -> Place:
        """Poll with an old ticket that the buyer has kept."""
        return await self.room.look(self.sale_id, ticket_of(name), ticket)

    async def states(self, *names: str) -> list[str]:
        return [(await self.look(name)).state.value for name in names]


@pytest.fixture
async def books(redis_server: PrivateRedis, tmp_path: Path) -> AsyncIterator[PaperBooks]:
    kept = PaperBooks(tmp_path / "books.sqlite", redis_server.url)
    yield kept
    await kept.close()


@pytest.fixture
async def line(redis_async: Redis, books: PaperBooks) -> Line:
    """A confirmed line. Its log is copied only when a test says so."""
    kept = Line(redis_async, books=books)
    books.open_sale(kept.sale_id, settings_fields(), STOCK)
    await kept.confirm()
    return kept


async def settle(line: Line) -> None:
    """Wait until the line shows places again."""
    await asyncio.sleep(CEILING_MS / 1000 + 0.05)


def shuffled(names: Iterable[str]) -> list[str]:
    mixed = list(names)
    random.Random(7).shuffle(mixed)
    return mixed


# ---------------------------------------------------------------- an emptied store


async def busy(line: Line) -> dict[str, list[str]]:
    """300 who wait behind somebody in every other state."""
    served = {
        "missed": [f"missed{n}" for n in range(5)],
        "lapsed": [f"lapsed{n}" for n in range(3)],
        "done": [f"paid{n}" for n in range(3)] + [f"ended{n}" for n in range(3)],
        "admitted": [f"shopping{n}" for n in range(5)] + [f"ordering{n}" for n in range(5)],
        "called": [f"called{n}" for n in range(10)],
    }
    for state, names in served.items():
        for name in names:
            await line.join(name)
        await line.tick()
        for name in names:
            assert (await line.look(name)).state == "called"
            if state in ("done", "admitted"):
                await line.claim(name)
            if name.startswith(("ordering", "paid", "ended")):
                await line.order(name, f"order-{name}")
        if state in ("missed", "lapsed"):
            await line.pass_time(121)
        if state == "lapsed":
            for name in names:
                await line.join(name)
            await line.tick()
            await line.pass_time(121)
    for name in served["done"]:
        await line.outcome(name, "paid" if name.startswith("paid") else "ended")
    await line.tick(rate=0)
    waiting = [f"buyer{n}" for n in range(300)]
    for name in waiting:
        await line.join(name)
    return served | {"waiting": waiting}


def note_orders(line: Line, names: Iterable[str]) -> None:
    """What stands in the database of those who ordered."""
    for name in names:
        jti = f"{ticket_of(name)}.1"
        if name.startswith("ordering"):
            line.books.note_order(f"order-{name}", jti, "live")
        elif name.startswith("paid"):
            line.books.note_order(f"order-{name}", jti, "paid")
        elif name.startswith("ended"):
            line.books.note_order(f"order-{name}", jti, "ended")


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


# ---------------------------------------------------------------- restarted, set back


async def test_a_restart_from_the_log_file_keeps_every_place_and_state(
    line: Line, redis_server: PrivateRedis
) -> None:
    people = await busy(line)
    before = {name: (await line.look(name)).number for names in people.values() for name in names}
    note_orders(line, before)
    await line.copy_log()
    redis_server.restart()
    with pytest.raises(RoomUnavailable):
        await line.look("buyer0")
    await line.confirm()
    for state, names in people.items():
        assert set(await line.states(*shuffled(names))) == {state}
    assert {name: (await line.look(name)).number for name in before} == before


async def test_a_store_that_is_set_back_learns_from_log_and_tickets_what_came_after(
    line: Line, redis_server: PrivateRedis
) -> None:
    await line.call("flo")  # the store that comes back knows of the turn, not of the claim
    for name in ("ann", "bob", "cleo", "dan", "eve"):
        await line.join(name)
    backup = [(str(key), await raw_dump(redis_server, str(key))) for key in await line.client.keys()]
    await line.tick(rate=4)
    for name in ("bob", "cleo", "dan", "flo"):
        await line.claim(name)
    await line.order("cleo", "order-cleo")
    line.books.note_order("order-cleo", (await line.claim("cleo")).jti, "live")
    await line.room.leave(line.sale_id, ticket_of("dan"))
    late = await line.join("late")
    claim = await line.claim("bob")
    await line.copy_log()
    await line.client.flushall()
    for key, dump in backup:
        await raw_restore(redis_server, key, dump)
    redis_server.restart()
    await line.confirm()

    expected = {"ann": "called", "bob": "admitted", "cleo": "admitted", "dan": "left", "flo": "admitted"}
    expected |= {"eve": "waiting", "late": "waiting"}
    assert await line.states(*expected) == list(expected.values())
    assert (await line.look("late")).number == late.number
    assert await line.claim("bob") == claim
    assert await line.client.zscore(line.keys.ordering, ticket_of("cleo"))
    assert await line.client.hget(line.keys.passes, f"{ticket_of('cleo')}.1") == "order-cleo"
    assert await live_places(line) == 6
    with pytest.raises(TurnLapsed):
        await line.claim("dan")


async def test_what_a_restarted_store_knows_later_than_the_log_stays(
    line: Line, redis_server: PrivateRedis
) -> None:
    await line.call("ann", "bob")
    await line.pass_time(121)
    await line.room.leave(line.sale_id, ticket_of("ann"))  # a missed turn given up is no event of the log
    await line.room.leave(line.sale_id, ticket_of("bob"))
    again = await line.join("bob")
    await line.copy_log()
    redis_server.restart()
    await line.confirm()
    assert await line.state("ann") == "left"
    assert (await line.look("bob")).number == again.number
    assert await line.state("bob") == "waiting"


async def raw_dump(server: PrivateRedis, key: str) -> bytes:
    client: Redis = Redis.from_url(server.url)
    dumped = await client.dump(key)
    await client.aclose()
    assert dumped is not None
    return dumped


async def raw_restore(server: PrivateRedis, key: str, dumped: bytes) -> None:
    client: Redis = Redis.from_url(server.url)
    await client.restore(key, 0, dumped)
    await client.aclose()


# ---------------------------------------------------------------- what nobody knows


async def test_what_the_rate_allowed_since_the_last_copy_counts_as_taken_for_one_pass_life(
    line: Line,
) -> None:
    opened = str(int(settings_fields()["opens_at_ms"]) - 100_000)
    line.books.change_sale(line.sale_id, calls_per_minute="60", capacity="100", opens_at_ms=opened)
    await line.copy_log()
    copied = await line.books.whole_until(line.sale_id)
    assert copied is not None
    await line.books.note_copied(line.sale_id, copied - 40_000)
    for name in (f"buyer{n}" for n in range(100)):
        await line.join(name)
    await line.lose()
    await line.change(calls_per_minute="6000")
    for name in line.tickets:
        await line.look(name)
    called = (await line.tick()).calls
    assert 55 <= called <= 60, "60 a minute for 40 s and a bit may have been called"
    for name in list(line.tickets)[:called]:
        await line.look(name)  # seen, so that the turn lasts
        await line.claim(name)
    assert (await line.pass_time(PASS_S + GRACE_S - 1)).calls == 0
    assert (await line.tick(1_000)).calls >= 40


async def away_for(line: Line, server: PrivateRedis, away_ms: int) -> None:
    """The store is restarted on its data; log and last tick are older than they were, as if it had been away so long."""
    copied = await line.books.whole_until(line.sale_id)
    assert copied is not None
    await line.books.note_copied(line.sale_id, copied - away_ms)
    for name in ("wall_ms", "rested_ms"):
        if (at := await line.client.hget(line.keys.room, name)) is not None:
            await line.client.hset(line.keys.room, name, str(int(at) - away_ms))
    server.restart()
    await line.confirm()


async def called_after(line: Line) -> int:
    """How many of a full line are called at once when neither rate nor stock hold them back."""
    await line.change(calls_per_minute="6000")
    return (await line.tick()).calls


@pytest.mark.parametrize(("given_up", "unknown"), [(False, 2), (True, 0)])
async def test_a_store_that_comes_back_with_its_data_misses_two_seconds_at_most_however_long_it_was_away(
    line: Line, redis_server: PrivateRedis, given_up: bool, unknown: int
) -> None:
    opened = str(int(settings_fields()["opens_at_ms"]) - 100_000)
    line.books.change_sale(line.sale_id, calls_per_minute="60", capacity="100", opens_at_ms=opened)
    for name in (f"buyer{n}" for n in range(200)):
        await line.join(name)
    await line.tick(rate=0)
    await line.copy_log()
    if given_up:
        await line.room.release_lease(line.sale_id, LEADER)
    await away_for(line, redis_server, 40_000)
    assert await called_after(line) == 100 - unknown


async def test_a_second_loss_does_not_free_what_the_first_has_left_unknown(
    line: Line, redis_server: PrivateRedis
) -> None:
    opened = str(int(settings_fields()["opens_at_ms"]) - 100_000)
    line.books.change_sale(line.sale_id, calls_per_minute="60", capacity="100", opens_at_ms=opened)
    await line.copy_log()
    copied = await line.books.whole_until(line.sale_id)
    assert copied is not None
    await line.books.note_copied(line.sale_id, copied - 40_000)
    await line.lose()
    for name in (f"buyer{n}" for n in range(200)):
        await line.join(name)
    await line.tick(rate=0)
    await line.copy_log()
    await line.room.release_lease(line.sale_id, LEADER)
    redis_server.restart()
    await line.confirm()
    assert 40 <= await called_after(line) <= 60


async def test_without_its_log_the_line_calls_nobody_for_one_pass_life(line: Line) -> None:
    await line.join("ann")
    await without_log(line)
    await line.look("ann")
    reply = await line.tick()
    assert (reply.calls, reply.limit) == (0, "rebuilding")
    await line.pass_time(PASS_S + GRACE_S - 1, rate=100)
    assert await line.states("ann") == ["waiting"]
    assert (await line.pass_time(1, rate=100)).calls == 1


async def test_an_operators_resume_ends_that_early(line: Line) -> None:
    await line.join("ann")
    await without_log(line)
    await line.look("ann")
    await line.change(control="paused")
    assert (await line.tick()).calls == 0
    await line.change(control="running", capacity="10000")
    assert (await line.tick()).calls == 1


async def without_log(line: Line) -> None:
    await line.copy_log()
    line.books.illegible.add(line.sale_id)
    await line.client.flushall()
    assert await line.room.take_lease(line.sale_id, LEADER, LEASE_MS)
    for _ in range(TRIES_TO_READ_LOG - 1):
        with pytest.raises(OSError, match="cannot be read"):
            await line.confirmation.confirm(BLOCK)
    assert await line.confirmation.confirm(BLOCK)


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

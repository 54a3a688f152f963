"""L9, its core: a poll of who waits costs no Redis command and no database; what does cost one is one command.

What a process tells without asking must be what the line would have told: every way out of the line is tried here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from firstcome import clients
from firstcome.servers import PrivateRedis
from tests.promises.one_sale import LEADER, OneSale, ticket_of
from waiting_room.digests import AWAY_FOR_S, GOOD_FOR_S, Digests
from waiting_room.estimate import Reason
from waiting_room.place import Place
from waiting_room.refusals import NoTicket, RoomError, RoomUnavailable
from waiting_room.ticket import Ticket

END = "the end of what is counted"


@dataclass
class Watched(OneSale):
    """The sale beside a process that watches it; time passes for the process when the test says so."""

    now_s: float = 100.0
    digests: Digests = field(init=False)
    held: dict[str, Ticket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.digests = Digests(self.room, clock=lambda: self.now_s)

    async def tell(self) -> None:
        """The leader writes the digest, the process reads it; one that was there before it came counts for nothing."""
        for _ in range(2):
            assert await self.room.write_digest(self.sale_id, LEADER) == "written"
            await self.read()
            await self._next_ms()

    async def read(self) -> None:
        await self.digests.renew([self.sale_id])

    async def _next_ms(self) -> None:
        """Digests are told apart by their instant, in ms by Redis's clock."""
        begun = await self.client.time()
        while await self.client.time() <= (begun[0], begun[1] + 1_000):
            pass

    async def joins(self, name: str) -> Ticket:
        return self.hold(name, await self.room.join(self.sale_id, ticket_of(name), self.held.get(name)))

    def hold(self, name: str, place: Place) -> Ticket:
        """The ticket that the buyer of that name gets with a place."""
        ticket = Ticket(self.sale_id, ticket_of(name), place.mark, place.store_id)
        self.held[name] = ticket
        return ticket


@pytest.fixture
async def sale(redis_async: Redis) -> Watched:
    sale = Watched(redis_async)
    await sale.begin(calls_per_minute=60)
    return sale


@contextlib.asynccontextmanager
async def commands_from_outside(server: PrivateRedis) -> AsyncIterator[list[str]]:
    """Fills a list with the names of all commands that clients send, without those that scripts run."""
    seen: list[str] = []
    watcher, marker = clients.redis_async(server.url), clients.redis_async(server.url)
    await marker.ping()
    async with watcher.monitor() as monitor:
        yield seen
        await marker.echo(END)
        while True:
            command = await monitor.next_command()
            if END in command["command"]:
                break
            if command["client_type"] != "lua":
                seen.append(command["command"].split()[0].upper())
    await watcher.aclose()
    await marker.aclose()


# ---------------------------------------------------------------- what a poll costs


async def test_polls_of_a_waiting_crowd_are_no_command_at_all(
    sale: Watched, redis_server: PrivateRedis
) -> None:
    tickets = [await sale.joins(f"buyer{n}") for n in range(50)]
    await sale.tell()
    async with commands_from_outside(redis_server) as seen:
        places = [sale.digests.place(ticket) for ticket in tickets[5:] for _ in range(20)]
    assert seen == []
    assert [place.ahead for place in places if place] == [ahead for ahead in range(5, 50) for _ in range(20)]


async def test_every_other_poll_is_one_command_whatever_the_state_of_the_ticket(
    sale: Watched, redis_server: PrivateRedis
) -> None:
    await sale.admit("ann")
    await sale.call("bob")
    await sale.joins("cleo")
    async with commands_from_outside(redis_server) as seen:
        for name in ("ann", "bob", "cleo"):
            await sale.room.look(sale.sale_id, ticket_of(name))
        await sale.room.join(sale.sale_id, ticket_of("dora"))
        await sale.claim("bob")
        await sale.claim("bob")
    assert seen == ["EVALSHA"] * 6


async def test_a_look_at_a_waiting_ticket_writes_nothing(sale: Watched) -> None:
    await sale.joins("ann")
    before = (await sale.client.info("persistence"))["rdb_changes_since_last_save"]
    for _ in range(10):
        await sale.room.look(sale.sale_id, ticket_of("ann"))
    assert (await sale.client.info("persistence"))["rdb_changes_since_last_save"] == before


async def test_thousands_of_looks_at_once_need_few_connections(sale: Watched) -> None:
    await sale.joins("ann")
    places = await asyncio.gather(*(sale.room.look(sale.sale_id, ticket_of("ann")) for _ in range(4_000)))
    assert all(place.state == "waiting" for place in places)
    assert (await sale.client.info("clients"))["connected_clients"] < 20


# ---------------------------------------------------------------- what it tells


@pytest.mark.parametrize("steps", [(1,), (1,) * 400 + (9, 70), (1, 1, 1, 1, 2, 40)])
async def test_places_are_exact_among_the_first_thousand_and_within_half_a_per_cent_behind(
    sale: Watched, steps: tuple[int, ...]
) -> None:
    """Nobody has left; some have, here and there; most have."""
    chance, at, people = random.Random(7), 0, {}
    for n in range(30_000):
        at += chance.choice(steps)
        people[f"ticket{n:08}"] = at
    await sale.client.zadd(sale.keys.line, people)  # type: ignore[arg-type]
    await sale.tell()
    store_id = str(await sale.client.hget(sale.keys.room, "store_id"))
    for rank, (ticket_id, number) in enumerate(people.items()):
        place = sale.digests.place(Ticket(sale.sale_id, ticket_id, number, store_id))
        if place is None:
            assert rank < 5
            continue
        assert place.ahead is not None
        assert abs(place.ahead - rank) <= (0 if rank < 1_000 else 0.005 * rank)
        assert place.waiting == 30_000
    if len(steps) == 1:  # one stretch tells everybody's place, however long the line
        assert len(json.loads(await sale.client.get(sale.keys.digest) or "")["step_ranks"]) == 1


RANDOM_SALE = {"calls_per_minute": 600, "turn_window_ms": 3_000, "comeback_ms": 4_000, "pass_ms": 9_000}


@pytest.mark.parametrize("seed", range(6))
async def test_a_process_never_tells_a_place_that_the_line_would_not_have_told(
    sale: Watched, seed: int
) -> None:
    """A random sale: people join, leave, are called, miss, come back, claim, and the store is lost. After every step each ticket that
    was ever handed out is shown to the process."""
    await sale.client.flushall()
    await sale.begin(**RANDOM_SALE)
    chance, shown, told = random.Random(seed), set[Ticket](), 0
    for _ in range(50):
        await _something_happens(sale, chance)
        shown.update(sale.held.values())
        await sale.tell()
        places = [(ticket, place) for ticket in shown if (place := sale.digests.place(ticket)) is not None]
        looks = (sale.room.look(sale.sale_id, ticket.ticket_id) for ticket, _ in places)
        for (_, place), truth in zip(places, await asyncio.gather(*looks), strict=True):
            assert (place.state, place.number, place.ahead) == ("waiting", truth.number, truth.ahead)
            assert truth.state == "waiting"
        told += len(places)
    assert told > 50


async def _something_happens(sale: Watched, chance: random.Random) -> None:
    name = f"buyer{chance.randrange(150)}"
    steps = ["join", "look", "leave", "claim", "call", "time", "crowd", "loss"]
    match chance.choices(steps, [8, 4, 6, 4, 4, 3, 2, 0.5])[0]:
        case "join":
            await sale.joins(name)
        case "crowd":
            await asyncio.gather(*(sale.joins(f"buyer{n}") for n in range(chance.randrange(150))))
        case "look":
            with contextlib.suppress(NoTicket):
                sale.hold(name, await sale.room.look(sale.sale_id, ticket_of(name), sale.held.get(name)))
        case "leave":
            await sale.room.leave(sale.sale_id, ticket_of(name), sale.held.get(name))
        case "claim":
            with contextlib.suppress(RoomError):
                await sale.claim(name)
        case "call":
            await sale.tick(rate=chance.randrange(10))
        case "time":
            await sale.pass_time(chance.randrange(1, 5))
        case "loss":
            await sale.client.flushall()
            await sale.begin(**RANDOM_SALE)
            await sale.tick(rate=0)


async def test_every_way_out_of_the_line_is_asked_in_redis(sale: Watched) -> None:
    """The numbers of those who were called, who left, who joined again behind, or were moved to an older place of theirs."""
    await sale.change(calls_per_minute=6_000)
    front = [await sale.joins(name) for name in ("ann", "bob", "cleo")]
    await asyncio.gather(*(sale.joins(f"crowd{n}") for n in range(1_200)))
    back = [await sale.joins(name) for name in ("left", "moved", "rejoined")]
    await asyncio.gather(*(sale.joins(f"late{n}") for n in range(20)))
    await sale.tick(rate=3)
    await sale.tell()
    assert all(sale.digests.place(ticket) for ticket in back)
    await sale.room.leave(sale.sale_id, ticket_of("left"))
    await sale.room.leave(sale.sale_id, ticket_of("rejoined"))
    again = await sale.joins("rejoined")
    older = Ticket(sale.sale_id, ticket_of("moved"), 1, "an-earlier-store")
    moved = await sale.room.look(sale.sale_id, ticket_of("moved"), older)
    assert moved.number == 1
    await sale.read()
    assert [sale.digests.place(ticket) for ticket in front + back] == [None] * 6, (
        "before the next digest is written"
    )
    await sale.tell()
    assert [sale.digests.place(ticket) for ticket in front + back] == [None] * 6
    place = sale.digests.place(again)
    assert place is not None
    assert place.number == again.number


async def test_the_first_poll_after_the_call_reaches_redis(sale: Watched) -> None:
    """Whoever may have been called since the digest was written is asked there, so that the call is seen and never unsaid."""
    tickets = [await sale.joins(f"buyer{n}") for n in range(20)]
    await sale.tick(rate=0)
    await sale.tell()
    assert sale.digests.place(tickets[0]) is None
    assert sale.digests.place(tickets[10]) is not None
    sale.now_s += 2
    assert sale.digests.place(tickets[2]) is None
    await sale.tick(rate=1)
    assert (await sale.room.look(sale.sale_id, tickets[0].ticket_id)).state == "called"
    assert await sale.client.zcard(sale.keys.unseen) == 0


async def test_a_ticket_of_another_store_and_one_that_joined_since_are_asked_in_redis(sale: Watched) -> None:
    for n in range(20):
        await sale.joins(f"buyer{n}")
    await sale.tell()
    held = sale.held["buyer19"]
    assert sale.digests.place(held) is not None
    assert sale.digests.place(Ticket(held.sale_id, held.ticket_id, held.number, "another")) is None
    assert sale.digests.place(await sale.joins("late")) is None


async def test_places_stay_hidden_until_a_lost_line_has_settled(sale: Watched) -> None:
    for n in range(20):
        await sale.joins(f"buyer{n}")
    await sale.tick(rate=0)
    settled_ms = int(time.time() * 1000) + 3_600_000
    await sale.client.hset(sale.keys.room, mapping={"lost_ms": 1, "settled_ms": settled_ms})
    await sale.tell()
    place = sale.digests.place(sale.held["buyer19"])
    assert place is not None
    assert (place.number, place.position, place.ahead, place.waiting) == (
        sale.held["buyer19"].number, None, None, None,
    )  # fmt: skip


async def test_an_emptied_store_is_forgotten_at_once_and_a_digest_without_a_leader_soon(
    sale: Watched,
) -> None:
    ticket = [await sale.joins(f"buyer{n}") for n in range(20)][19]
    await sale.tell()
    sale.now_s += GOOD_FOR_S - 0.1
    await sale.read()
    assert sale.digests.place(ticket) is not None
    sale.now_s += 0.2
    await sale.read()
    assert sale.digests.place(ticket) is None, "nobody leads; what is written may be old"
    await sale.tell()
    assert sale.digests.place(ticket) is not None
    await sale.client.flushall()
    await sale.read()
    assert sale.digests.place(ticket) is None
    assert sale.digests.place_while_away(ticket) is None


# ---------------------------------------------------------------- while Redis is away


@pytest.fixture
def own_server(servers_dir: Path) -> Iterator[PrivateRedis]:
    """A Redis that this test may stop and kill."""
    server = PrivateRedis(servers_dir / f"redis-{time.monotonic_ns() % 10**6}").start()
    yield server
    server.stop()


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
async def test_polls_go_on_for_thirty_seconds_when_redis_is_stopped_or_killed(
    own_server: PrivateRedis, fault: signal.Signals
) -> None:
    client = clients.redis_async(own_server.url)
    sale = Watched(client)
    await sale.begin()
    tickets = [await sale.joins(f"buyer{n}") for n in range(300)]
    await sale.tell()
    late = await sale.joins("late")
    pid = int((await client.info("server"))["process_id"])
    try:
        _send(pid, fault)
        async with asyncio.timeout(10):
            with pytest.raises(RoomUnavailable):
                await sale.read()
            for ahead, ticket in enumerate(tickets):
                place = sale.digests.place(ticket)
                assert place is not None
                assert (place.ahead, place.waiting) == (ahead, 300)
                assert place.estimate is not None
                assert (place.estimate.low_s, place.estimate.high_s) == (None, None)
            behind = sale.digests.place(late)
            assert behind is not None
            assert behind.ahead == 300
            sale.now_s += AWAY_FOR_S
            assert sale.digests.place(tickets[0]) is None
            with pytest.raises(RoomUnavailable):
                await sale.room.join(sale.sale_id, ticket_of("newcomer"))
    finally:
        _send(pid, signal.SIGCONT)
        await client.aclose()


async def test_a_paused_line_is_shown_paused_while_redis_is_away(own_server: PrivateRedis) -> None:
    client = clients.redis_async(own_server.url)
    sale = Watched(client)
    await sale.begin(control="paused")
    waiting = await sale.joins("ann")
    await sale.tick()
    await sale.tell()
    own_server.stop()
    with pytest.raises(RoomUnavailable):
        await sale.read()
    place = sale.digests.place(waiting)
    assert place is not None
    assert place.estimate is not None
    assert (place.estimate.low_s, place.estimate.reason) == (None, Reason.PAUSED)
    await client.aclose()


def _send(pid: int, sig: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)

"""A line whose store may be lost, and the tickets in its buyers' hands, for the tests of what survives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.promises.one_sale import LEADER, LEASE_MS, OneSale, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.confirmation import Confirmation
from waiting_room.place import Place
from waiting_room.polling import PollLimits
from waiting_room.refusals import RoomUnavailable
from waiting_room.room import Room
from waiting_room.ticket import Ticket

STOCK = {"version": "1", "allotted": "1000", "held": "0", "sold": "0"}
BLOCK = 10_000
CEILING_MS = 400


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


async def settle(line: Line) -> None:
    """Wait until the line shows places again."""
    await asyncio.sleep(CEILING_MS / 1000 + 0.05)


def shuffled(names: Iterable[str]) -> list[str]:
    mixed = list(names)
    random.Random(7).shuffle(mixed)
    return mixed


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

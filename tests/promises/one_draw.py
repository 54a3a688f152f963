"""A draw sale on a real Redis with books of paper: what the promise tests of draws share. Driven step by step, opened at will."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.promises.one_sale import LEADER, LEASE_MS, OneSale, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from waiting_room.confirmation import Confirmation
from waiting_room.draw import DrawList, lot
from waiting_room.drawing import Drawing
from waiting_room.place import Place
from waiting_room.polling import PollLimits
from waiting_room.room import Room
from waiting_room.ticket import Ticket
from waiting_room.ticking import TickReply

SEED = bytes(range(100, 132))
STOCK = {"version": "1", "allotted": "100000", "held": "0", "sold": "0"}
BLOCK = 10_000
# After a loss the draw waits so long for its lobby; `settle` ends that, so that no test depends on how fast it runs.
CEILING_MS = 60_000


@dataclass
class OneDraw(OneSale):
    """The sale, the tickets in its buyers' hands, and its leader's part in the draw. `begin_lobby` comes first."""

    books: PaperBooks = field(kw_only=True)
    tickets: dict[str, Ticket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.room = Room(self.client, polls=PollLimits(ceiling_ms=CEILING_MS), within_s=10)
        self.confirmation = Confirmation(self.sale_id, self.room, self.books, token=LEADER, lease_ms=LEASE_MS)
        self.drawing = Drawing(self.sale_id, self.room, self.books, token=LEADER)

    async def begin_lobby(self, **changes: Any) -> OneDraw:
        """A confirmed store, and a lobby that is open for an hour."""
        later = {"opens_at_ms": int(time.time() * 1000) + 3_600_000, "closes_at_ms": 10**13}
        fields = settings_fields(mode="draw", calls_per_minute=600_000, capacity=100_000, **(later | changes))
        self.books.open_sale(self.sale_id, fields, STOCK)
        self.books.open_draw(self.sale_id, SEED)
        await self.confirm()
        return self

    async def confirm(self) -> None:
        """What a leader does with a store that is not confirmed."""
        assert await self.room.take_lease(self.sale_id, LEADER, LEASE_MS)
        assert await self.confirmation.confirm(BLOCK)

    async def lose(self) -> None:
        """Everything is gone; a leader finds the empty store."""
        await self.client.flushall()
        await self.confirm()

    async def settle(self) -> None:
        """Everybody has had the time to come back after a loss."""
        await self.client.hset(self.keys.room, "settled_ms", 0)

    async def join(self, name: str) -> Place:
        """Join with whatever ticket the buyer holds."""
        place = await self.room.join(
            self.sale_id, ticket_of(name), self.tickets.get(name), lot=lot(SEED, ticket_of(name))
        )
        return self.hold(name, place)

    async def look(self, name: str) -> Place:
        """Poll with the ticket that the buyer holds, as the gateway does."""
        shown = self.tickets.get(name)
        score = lot(SEED, ticket_of(name)) if shown is not None and shown.number == 0 else ""
        return self.hold(name, await self.room.look(self.sale_id, ticket_of(name), shown, lot=score))

    def hold(self, name: str, place: Place) -> Place:
        """The buyer gets the ticket that the gateway makes of an answer."""
        self.tickets[name] = Ticket(self.sale_id, ticket_of(name), place.mark, place.store_id)
        return place

    async def open(self) -> TickReply:
        """The moment of the opening comes, and a tick."""
        moment = str(int(time.time() * 1000) - 1)
        self.books.change_sale(self.sale_id, opens_at_ms=moment)
        await self.change(opens_at_ms=moment)
        return await self.tick()

    async def draw(self) -> TickReply:
        """The leader draws until everybody has a number; the first tick after that."""
        while await self.drawing.go_on(await self.tick(rate=0)):
            pass
        return await self.tick(rate=0)

    async def copy_log(self) -> None:
        """What a leader does every half second."""
        await self.books.copy_calls(self.sale_id, await self.room.read_calls(self.sale_id, 100_000))
        line = (await self.room.lines([self.sale_id]))[self.sale_id]
        await self.books.note_copied(self.sale_id, line.now_ms)

    async def list(self) -> DrawList:
        """The list as it is public."""
        return DrawList(SEED, await self.books.list_text(self.sale_id))

    async def called(self) -> list[str]:
        """The ids of everybody called, in the order of their calls."""
        rows = await self.room.read_calls(self.sale_id, 100_000)
        return [row.ticket_id for row in rows if row.event == "call"]


def drawn_order(names: list[str]) -> list[str]:
    """The names as the draw orders them: what anybody can recompute from the seed."""
    return sorted(names, key=lambda name: (float(lot(SEED, ticket_of(name))), ticket_of(name)))

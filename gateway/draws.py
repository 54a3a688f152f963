"""Draws between a request and the rooms: who is drawn where, what a buyer gets as a receipt, and what everybody may read.

The seed of a sale is opened in this process only to score the tickets of its lobby; it leaves the process when its list is public.
The list itself never changes, so each process reads it once. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from gateway.bodies.draws import (
    DrawBody,
    DrawDocument,
    DrawListPage,
    DrawReceiptBody,
    LateTicketBody,
    NumberedTicketBody,
)
from gateway.bodies.problems import FieldFault
from gateway.refusals import BadFields, NoDraw, NotDrawnYet
from shop.sales.draws import Draw, NewDraw, late_tickets, list_text, seed_place
from waiting_room import draw as drawing

if TYPE_CHECKING:
    from gateway.services import Services
    from shop.sales.draws import LateTicket
    from shop.sales.reading import Sale
    from shop.vault import Vault
    from waiting_room.place import Place

LISTS_KEPT = 4
ADDENDUM_GOOD_FOR_S = 5.0
LONGEST_PAGE = 10_000


class Draws:
    """Seeds, lists and addenda of this process; `vault` opens and seals seeds."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._seeds: dict[str, bytes] = {}
        self._lists: OrderedDict[str, bytes] = OrderedDict()
        self._addenda: dict[str, tuple[float, list[LateTicket]]] = {}
        self._reading = asyncio.Lock()

    def make(self, sale_id: str) -> NewDraw:
        """The draw of a new sale."""
        seed = secrets.token_bytes(drawing.SEED_BYTES)
        sealed = self._vault.seal(seed.hex(), seed_place(sale_id))
        return NewDraw(drawing.commitment(sale_id, seed), sealed)

    def lot(self, sale: Sale, ticket_id: str) -> str:
        """The ticket's place in the lobby as the room takes it; "" in a sale that is not drawn."""
        return "" if sale.draw is None else drawing.lot(self._seed(sale.sale_id, sale.draw), ticket_id)

    def public_seed(self, sale: Sale) -> str | None:
        """The seed in hex once everybody may know it."""
        if sale.draw is None or not sale.draw.public:
            return None
        return self._seed(sale.sale_id, sale.draw).hex()

    def body(self, sale: Sale) -> DrawBody | None:
        """What everybody may know of a sale's draw; None in a FIFO sale."""
        if sale.draw is None:
            return None
        draw = sale.draw
        return DrawBody(
            commitment=draw.commitment,
            seed=self.public_seed(sale),
            size=draw.size,
            list_hash=draw.list_hash,
        )

    def receipt(self, sale: Sale, ticket_id: str, place: Place) -> DrawReceiptBody | None:
        """What a buyer of the lobby needs to recompute the own place. Before the draw it is the same but for the ticket id."""
        draw = sale.draw
        in_lobby = place.mark == 0 or (draw is not None and place.mark > 0 and place.mark <= (draw.size or 0))
        if draw is None or not in_lobby:
            return None
        return DrawReceiptBody(
            sale_id=sale.sale_id,
            ticket_id=ticket_id,
            commitment=draw.commitment,
            score=drawing.FORMULA,
            seed=self.public_seed(sale),
            number=place.number if draw.public else None,
            size=draw.size,
            list_hash=draw.list_hash,
        )

    # ------------------------------------------------------------ for everybody

    async def document(self, services: Services, slug: str) -> DrawDocument:
        """Everything public about a draw but its list. Raises UnknownSale, NoDraw or Unavailable."""
        sale, draw = await self._find(services, slug)
        return DrawDocument(
            sale=sale.slug,
            sale_id=sale.sale_id,
            commitment=draw.commitment,
            commitment_is=drawing.COMMITMENT_FORMULA,
            score=drawing.FORMULA,
            opens_at=sale.opens_at,
            opened_at=draw.opened_at,
            published_at=draw.published_at,
            seed=self.public_seed(sale),
            size=draw.size,
            list_hash=draw.list_hash,
            list_url=f"/api/v1/sales/{sale.slug}/draw/list.txt" if draw.public else None,
            addendum=[
                LateTicketBody(ticket_id=late.ticket_id, place=late.place, at=late.at)
                for late in await self._addendum(services, sale, draw)
            ],
        )

    async def text(self, services: Services, slug: str) -> tuple[bytes, str]:
        """The whole list, an id a line, and its hash. Raises UnknownSale, NoDraw, NotDrawnYet or Unavailable."""
        sale, draw = await self._find(services, slug)
        if draw.list_hash is None:
            raise NotDrawnYet("the list becomes public right after the opening")
        return await self._list(services, sale.sale_id), draw.list_hash

    async def page(self, services: Services, slug: str, cursor: str | None, limit: int) -> DrawListPage:
        """A part of the list; `cursor` is the number before its first. Raises as `text`, and BadFields for a bad cursor."""
        text, _ = await self.text(services, slug)
        tickets = drawing.DrawList(b"", text)
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
            raise BadFields([FieldFault(field="cursor", message="must be a next_cursor of this list")])
        first = int(cursor or 0)
        last = min(len(tickets), first + max(1, min(limit, LONGEST_PAGE)))
        items = [NumberedTicketBody(number=n + 1, ticket_id=tickets.at(n)) for n in range(first, last)]
        return DrawListPage(items=items, next_cursor=str(last) if last < len(tickets) else None)

    async def _find(self, services: Services, slug: str) -> tuple[Sale, Draw]:
        sale = await services.snapshot.find(slug)
        if sale.draw is None:
            raise NoDraw("this sale goes first come, first served")
        return sale, sale.draw

    async def _list(self, services: Services, sale_id: str) -> bytes:
        async with self._reading:
            text = self._lists.get(sale_id)
            if text is None:
                text = await services.threads(list_text, services.db, sale_id)
                self._lists[sale_id] = text
            self._lists.move_to_end(sale_id)
            if len(self._lists) > LISTS_KEPT:
                self._lists.popitem(last=False)
        return text

    async def _addendum(self, services: Services, sale: Sale, draw: Draw) -> list[LateTicket]:
        if not draw.public:
            return []
        async with self._reading:
            read_at, late = self._addenda.get(sale.sale_id, (0.0, []))
            if not read_at or time.monotonic() - read_at > ADDENDUM_GOOD_FOR_S:
                late = await services.threads(late_tickets, services.db, sale.sale_id)
                self._addenda[sale.sale_id] = (time.monotonic(), late)
        return late

    def _seed(self, sale_id: str, draw: Draw) -> bytes:
        seed = self._seeds.get(sale_id)
        if seed is None:
            seed = bytes.fromhex(self._vault.open(draw.seed_sealed, seed_place(sale_id)))
            self._seeds[sale_id] = seed
        return seed

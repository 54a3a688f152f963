"""What is kept of a draw: the sealed seed, the list of its lobby, and when both became public.

The seed is made with the sale and opened by nobody but who draws. List and seed become public together, once and for ever; before
that a list may be stored in any number of attempts. Knows nothing of how a draw is computed: who creates a sale brings that along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from shop.sales.rules import DRAW
from shop.storage.database import Database, Tx
from shop.storage.tables import call_log, draw_pages, draws, sales
from shop.vault import place

ID_LENGTH = 14
# An addendum longer than this would mean that a whole lobby was lost; then the first of it are shown.
MOST_IN_ADDENDUM = 10_000


@dataclass(frozen=True, slots=True)
class NewDraw:
    """The draw of a new sale: what is published at once, and the seed, sealed for `seed_place`."""

    commitment: str
    seed_sealed: bytes = field(repr=False)


MakeDraw = Callable[[str], NewDraw]


@dataclass(frozen=True, slots=True)
class Draw:
    """The draw of a sale. `size` and `list_hash` are None before list and seed are public."""

    commitment: str
    seed_sealed: bytes = field(repr=False)
    opened_at: datetime | None = None
    published_at: datetime | None = None
    size: int | None = None
    list_hash: str | None = None

    @property
    def public(self) -> bool:
        """Whether everybody may know list and seed."""
        return self.published_at is not None


@dataclass(frozen=True, slots=True)
class StoredList:
    """How far a list was stored: whole pages, the tickets on them, and the last one ("" for none)."""

    pages: int
    tickets: int
    last: str


@dataclass(frozen=True, slots=True)
class LateTicket:
    """A ticket that an earlier store gave out and that came back after the list was public: its place lies between two numbers."""

    ticket_id: str
    place: str
    at: datetime


def seed_place(sale_id: str) -> str:
    """The only place where the sealed seed of this sale opens."""
    return place("draws.seed_sealed", sale_id)


def lay_draw(tx: Tx, sale_id: str, make: MakeDraw | None) -> None:
    """Make sure that the sale has a draw. One that it has stays: nobody picks among seeds."""
    if tx.scalar(select(draws.c.sale_id).where(draws.c.sale_id == sale_id)) is None:
        if make is None:
            raise TypeError("a sale that is drawn needs make_draw")
        new = make(sale_id)
        row = {"sale_id": sale_id, "commitment": new.commitment, "seed_sealed": new.seed_sealed}
        tx.insert_missing(draws, [row])


def read_draws(tx: Tx, sale_ids: list[str]) -> dict[str, Draw]:
    """The draws of these sales, by sale id."""
    rows = tx.all(select(draws).where(draws.c.sale_id.in_(sale_ids))) if sale_ids else ()
    return {row.sale_id: _draw(row) for row in rows}


def read_draw(db: Database, sale_id: str) -> Draw | None:
    """The draw of a sale, None for a FIFO sale, also for one that was to be drawn once."""
    mine = select(draws).join(sales, sales.c.sale_id == draws.c.sale_id)
    row = db.read(lambda tx: tx.first(mine.where(draws.c.sale_id == sale_id, sales.c.mode == DRAW)))
    return None if row is None else _draw(row)


def note_opened(db: Database, sale_id: str, at: datetime) -> None:
    """Keep when the lobby was closed; the first time stays."""
    unopened = (draws.c.sale_id == sale_id) & draws.c.opened_at.is_(None)
    db.run(lambda tx: tx.execute(update(draws).where(unopened).values(opened_at=at)))


def stored_list(db: Database, sale_id: str) -> StoredList:
    """How far the list was stored."""
    return db.read(_stored_list, sale_id)


def add_to_list(db: Database, sale_id: str, end: StoredList, tickets: str) -> StoredList:
    """Store the page behind this end of the list, an id a line; where the list ends with it.

    A page that is there stays as it is, and so does a public list, whose end is told as it is.
    """
    return db.run(_add_to_list, sale_id, end, tickets)


def publish_list(db: Database, sale_id: str, end: StoredList, hash_of: Callable[[bytes], str]) -> bool:
    """Make list and seed public if the list ends where the caller believes; False when it does not, or was public before.

    `hash_of` gives what stands for the whole text.
    """
    return db.run(_publish_list, sale_id, end, hash_of)


def list_text(db: Database, sale_id: str) -> bytes:
    """The list as far as it was stored, every id followed by a newline."""
    return db.read(_list_text, sale_id)


def late_tickets(db: Database, sale_id: str) -> list[LateTicket]:
    """The addendum to a public list, in the order in which its tickets came back."""
    return db.read(_late_tickets, sale_id)


def _draw(row: Any) -> Draw:
    fields = dict(row._mapping)
    del fields["sale_id"]
    return Draw(**fields)


def _stored_list(tx: Tx, sale_id: str) -> StoredList:
    mine = draw_pages.c.sale_id == sale_id
    sums = select(func.count().label("pages"), func.sum(draw_pages.c.tickets).label("tickets"))
    counted = tx.first(sums.where(mine))
    last = tx.scalar(select(draw_pages.c.ids).where(mine).order_by(draw_pages.c.page.desc()).limit(1))
    if counted is None or last is None:
        return StoredList(0, 0, "")
    return StoredList(int(counted.pages), int(counted.tickets), _last_of(last))


def _last_of(ids: bytes) -> str:
    """The last ticket on a page."""
    return bytes(ids)[-ID_LENGTH - 1 : -1].decode()


def _add_to_list(tx: Tx, sale_id: str, end: StoredList, tickets: str) -> StoredList:
    draw = tx.first(select(draws.c.published_at).where(draws.c.sale_id == sale_id).with_for_update())
    if draw is None or draw.published_at is not None:
        return _stored_list(tx, sale_id)
    row = {"sale_id": sale_id, "page": end.pages, "tickets": tickets.count("\n"), "ids": tickets.encode()}
    tx.insert_missing(draw_pages, [row])
    there = (draw_pages.c.sale_id == sale_id) & (draw_pages.c.page == end.pages)
    page = tx.first(select(draw_pages.c.tickets, draw_pages.c.ids).where(there))
    if page is None:
        raise RuntimeError("a page of a list that was just stored is not there")
    return StoredList(end.pages + 1, end.tickets + int(page.tickets), _last_of(page.ids))


def _publish_list(tx: Tx, sale_id: str, end: StoredList, hash_of: Callable[[bytes], str]) -> bool:
    draw = tx.first(select(draws.c.published_at).where(draws.c.sale_id == sale_id).with_for_update())
    if draw is None or draw.published_at is not None or _stored_list(tx, sale_id) != end:
        return False
    values = {
        "size": end.tickets,
        "list_hash": hash_of(_list_text(tx, sale_id)),
        "published_at": tx.now,
    }
    tx.execute(update(draws).where(draws.c.sale_id == sale_id).values(**values))
    return True


def _list_text(tx: Tx, sale_id: str) -> bytes:
    mine = select(draw_pages.c.ids).where(draw_pages.c.sale_id == sale_id).order_by(draw_pages.c.page)
    return b"".join(bytes(ids) for ids in tx.scalars(mine))


def _late_tickets(tx: Tx, sale_id: str) -> list[LateTicket]:
    late = (call_log.c.sale_id == sale_id) & (call_log.c.event == "addendum")
    query = select(call_log).where(late).order_by(call_log.c.entry_id).limit(MOST_IN_ADDENDUM)
    return [LateTicket(row.ticket_id, row.detail, row.at) for row in tx.all(query)]

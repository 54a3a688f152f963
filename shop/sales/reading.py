"""Sales as operators and snapshots read them, with their items and stock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, or_, select, type_coerce

from shop.sales.draws import Draw, read_draws
from shop.sales.rules import DRAW, ENDED, TURNS_AFTER_END, Control, UnknownSale
from shop.storage.columns import to_millis
from shop.storage.database import Database, Tx
from shop.storage.paging import Page, read_page
from shop.storage.tables import products, sale_items, sales

# How long a sale is still led, published and swept after its last order must have ended: receipts and late payments outlive it.
AFTERLIFE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class SaleItem:
    """One product of a sale; `price` in minor units of `currency`."""

    sale_item_id: int
    product_id: str
    title: str
    price: int
    currency: str
    limit_per_buyer: int
    allotted: int
    held: int
    sold: int


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale with everything that an operator may set. `over_call_limit` is a factor, durations are seconds; `draw` is None in a
    FIFO sale.
    """

    sale_id: str
    slug: str
    title: str
    mode: str
    control: Control
    lobby_opens_at: datetime
    opens_at: datetime
    closes_at: datetime
    calls_per_minute: int
    capacity: int
    turn_window_s: int
    comeback_s: int
    hold_s: int
    pass_s: int
    over_call_limit: float
    message_ko: str | None
    message_en: str | None
    guests: bool
    challenge: bool
    ticket_key_id: str
    version: int
    created_at: datetime
    closed_at: datetime | None
    items: tuple[SaleItem, ...]
    draw: Draw | None = None


def read_sale(db: Database, slug: str) -> Sale:
    """The sale of this slug, drafts included. Raises `UnknownSale`."""
    return db.read(sale_by_slug, slug)


def list_sales(db: Database, *, cursor: str | None = None, limit: int = 50) -> Page[Sale]:
    """All sales, the newest first. Raises `InvalidFields` for a bad cursor."""
    key = (sales.c.created_at, sales.c.sale_id)
    return db.read(
        lambda tx: read_page(tx, select(sales), key, cursor, limit, lambda rows: with_items(tx, rows))
    )


def live_sale_ids(db: Database) -> list[str]:
    """Sales that are led, published and swept: no drafts, and none whose last turn, pass and hold ended `AFTERLIFE` ago."""
    return db.read(_live_sale_ids)


def slugs_of(db: Database, sale_ids: Collection[str]) -> dict[str, str]:
    """The slugs of those ids that are sales."""
    query = select(sales.c.sale_id, sales.c.slug).where(sales.c.sale_id.in_(sale_ids))
    return {row.sale_id: row.slug for row in db.read(lambda tx: tx.all(query))}


def sales_of_keys(db: Database, key_ids: Collection[str]) -> dict[str, list[str]]:
    """The slugs of the sales whose tickets are signed with each of these keys, drafts included, by key; none of those that are over."""
    return db.read(_sales_of_keys, key_ids)


def sale_by_slug(tx: Tx, slug: str) -> Sale:
    """The sale of this slug. Raises `UnknownSale`."""
    return _sale(tx, tx.first(select(sales).where(sales.c.slug == slug)))


def sale_by_id(tx: Tx, sale_id: str) -> Sale:
    """The sale of this id. Raises `UnknownSale`."""
    return _sale(tx, tx.first(select(sales).where(sales.c.sale_id == sale_id)))


def lock_sale(tx: Tx, sale_id: str) -> Sale:
    """The sale, its row locked until the transaction ends. Raises `UnknownSale`."""
    return _sale(tx, tx.first(select(sales).where(sales.c.sale_id == sale_id).with_for_update()))


def with_items(tx: Tx, rows: Sequence[Row[Any]]) -> list[Sale]:
    """Sales out of rows of the table, in the same order."""
    items: dict[str, list[SaleItem]] = defaultdict(list)
    query = (
        select(sale_items, products.c.title)
        .join(products, products.c.product_id == sale_items.c.product_id)
        .where(sale_items.c.sale_id.in_([row.sale_id for row in rows]))
        .order_by(sale_items.c.sale_item_id)
    )
    for row in tx.all(query) if rows else ():
        items[row.sale_id].append(_item(row))
    drawn = read_draws(tx, [row.sale_id for row in rows if row.mode == DRAW])
    return [_record(row, tuple(items[row.sale_id]), drawn.get(row.sale_id)) for row in rows]


def _sales_of_keys(tx: Tx, key_ids: Collection[str]) -> dict[str, list[str]]:
    not_over = (sales.c.control == Control.DRAFT) | sales.c.sale_id.in_(_live_sale_ids(tx))
    signed = select(sales.c.ticket_key_id, sales.c.slug).where(sales.c.ticket_key_id.in_(key_ids), not_over)
    found: dict[str, list[str]] = defaultdict(list)
    for row in tx.all(signed.order_by(sales.c.ticket_key_id, sales.c.slug)):
        found[row.ticket_key_id].append(row.slug)
    return dict(found)


def _live_sale_ids(tx: Tx) -> list[str]:
    over = to_millis(tx.now - AFTERLIFE)
    going_on = sales.c.control.not_in([*ENDED, Control.DRAFT]) & (_last_order_ends(sales.c.closes_at) > over)
    just_ended = sales.c.control.in_(ENDED) & (_last_order_ends(sales.c.closed_at) > over)
    return list(
        tx.scalars(select(sales.c.sale_id).where(or_(going_on, just_ended)).order_by(sales.c.sale_id))
    )


def _last_order_ends(ended: ColumnElement[datetime]) -> ColumnElement[int]:
    """Unix ms by which all that a sale had given out when it ended is over: turns, passes and holds."""
    row = sales.c
    outlives_s = TURNS_AFTER_END * row.turn_window_s + row.comeback_s + row.pass_s + row.hold_s
    return type_coerce(ended, BigInteger) + outlives_s * 1000


def _sale(tx: Tx, row: Row[Any] | None) -> Sale:
    if row is None:
        raise UnknownSale("there is no such sale")
    return with_items(tx, [row])[0]


def _item(row: Row[Any]) -> SaleItem:
    return SaleItem(
        sale_item_id=row.sale_item_id,
        product_id=row.product_id,
        title=row.title,
        price=row.price,
        currency=row.currency,
        limit_per_buyer=row.limit_per_buyer,
        allotted=row.allotted,
        held=row.held,
        sold=row.sold,
    )


def _record(row: Row[Any], items: tuple[SaleItem, ...], draw: Draw | None) -> Sale:
    columns = dict(row._mapping)
    del columns["next_number"]
    columns["control"] = Control(row.control)
    columns["over_call_limit"] = row.over_call_limit / 100
    return Sale(**columns, items=items, draw=draw)

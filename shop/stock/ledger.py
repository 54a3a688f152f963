"""Reading the stock ledger, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from shop.storage.database import Database
from shop.storage.tables import sale_items, sales, stock_ledger

_COLUMNS = (
    *(stock_ledger.c.entry_id, stock_ledger.c.at, sales.c.slug.label("sale"), sale_items.c.product_id),
    *(stock_ledger.c.order_id, stock_ledger.c.delta_allotted, stock_ledger.c.delta_held),
    *(stock_ledger.c.delta_sold, stock_ledger.c.reason, stock_ledger.c.actor),
)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One movement of a counter. `sale` and `product_id` are None of an item that was taken out of its sale."""

    entry_id: int
    at: datetime
    sale: str | None
    product_id: str | None
    order_id: str | None
    delta_allotted: int
    delta_held: int
    delta_sold: int
    reason: str
    actor: str


def ledger_after(db: Database, sale_id: str | None, entry_id: int, count: int) -> list[LedgerRow]:
    """Up to `count` rows after this one, of one sale or of all."""
    query = (
        select(*_COLUMNS)
        .select_from(stock_ledger)
        .outerjoin(sale_items, sale_items.c.sale_item_id == stock_ledger.c.sale_item_id)
        .outerjoin(sales, sales.c.sale_id == sale_items.c.sale_id)
        .where(stock_ledger.c.entry_id > entry_id)
    )
    if sale_id is not None:
        query = query.where(sale_items.c.sale_id == sale_id)
    rows = db.read(lambda tx: tx.all(query.order_by(stock_ledger.c.entry_id).limit(count)))
    return [LedgerRow(**row._mapping) for row in rows]

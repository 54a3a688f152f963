"""What an operator watches of a sale that only the database knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from shop.orders.rules import OrderState
from shop.sales.line import calls_by_minute
from shop.sales.reading import Sale, sale_by_id
from shop.storage.database import Database, Tx
from shop.storage.tables import orders

MINUTES = 15


@dataclass(frozen=True, slots=True)
class Figures:
    """A sale with its stock, its orders by state (states without orders left out) and its calls in each of the last minutes."""

    sale: Sale
    orders: dict[OrderState, int]
    calls: list[tuple[datetime, int]]
    as_of: datetime


def figures(db: Database, sale_id: str, *, minutes: int = MINUTES) -> Figures:
    """The figures of a sale as they are now. Raises `UnknownSale`."""
    return db.read(_figures, sale_id, minutes)


def _figures(tx: Tx, sale_id: str, minutes: int) -> Figures:
    counts = (
        select(orders.c.state, func.count().label("orders"))
        .where(orders.c.sale_id == sale_id)
        .group_by(orders.c.state)
    )
    by_state = {OrderState(row.state): int(row.orders) for row in tx.all(counts)}
    return Figures(sale_by_id(tx, sale_id), by_state, calls_by_minute(tx, sale_id, minutes), tx.now)

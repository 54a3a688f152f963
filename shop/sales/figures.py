"""What an operator watches of a sale that only the database knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from shop.orders.rules import OrderState
from shop.sales.line import calls_by_minute
from shop.sales.reading import Sale, sale_by_id
from shop.sales.turns import Waits
from shop.sales.waits import recent_waits
from shop.storage.database import Database, Tx
from shop.storage.tables import orders

MINUTES = 15


@dataclass(frozen=True, slots=True)
class Figures:
    """A sale with its stock, its orders by state (states without orders left out), its calls in each of the last minutes, and how long
    those had waited who were called lately.
    """

    sale: Sale
    orders: dict[OrderState, int]
    calls: list[tuple[datetime, int]]
    waits: Waits
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
    sale = sale_by_id(tx, sale_id)
    calls = calls_by_minute(tx, sale_id, minutes)
    return Figures(sale, by_state, calls, recent_waits(tx, sale), tx.now)

"""More time for everybody who holds units, when paying does not work for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Row, case, select, type_coerce, update

from shop.orders.rules import HOLDING_STATES
from shop.storage.columns import to_millis
from shop.storage.database import Tx
from shop.storage.tables import orders

AT_ONCE = 500


def lengthen_holds(tx: Tx, sale_id: str, by: timedelta) -> int:
    """Let every live hold of a sale end later; the number of holds.

    One that is over and was not ended yet lives again, and has the whole time from now on. Orders are locked by ascending id, as
    everywhere, and written in batches of one transaction.
    """
    ends_ms = type_coerce(orders.c.hold_expires_at, BigInteger)
    now_ms = to_millis(tx.now)
    later_ms = case((ends_ms < now_ms, now_ms), else_=ends_ms) + by // timedelta(milliseconds=1)
    count, after = 0, ""
    while batch := _batch(tx, sale_id, after):
        ids = [row.order_id for row in batch]
        tx.execute(
            update(orders)
            .where(orders.c.order_id.in_(ids))
            .values(hold_expires_at=later_ms, updated_at=tx.now)
        )
        count, after = count + len(ids), ids[-1]
    return count


def _batch(tx: Tx, sale_id: str, after: str) -> list[Row[Any]]:
    live = (orders.c.sale_id == sale_id) & orders.c.state.in_(HOLDING_STATES)
    query = select(orders.c.order_id).where(live, orders.c.hold_expires_at.is_not(None))
    query = query.where(orders.c.order_id > after).order_by(orders.c.order_id).limit(AT_ONCE)
    return list(tx.all(query.with_for_update()))

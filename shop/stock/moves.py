"""The only way in which stock counters change: ledger rows and counters together, the counters last and by id.

Every movement is appended to the ledger in the transaction that changes the counter. The UPDATE re-checks that the counters
allow it and the database's CHECK would refuse it once more, so no caller can oversell. Knows tables, not who may do what.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, Row, bindparam, select, update

from shop.stock.rules import ReservationState, move_reservation
from shop.storage.database import Contended, Tx
from shop.storage.tables import products, reservations, sale_items, stock_ledger


class Movement(msgspec.Struct, frozen=True):
    """So many units of one sale item, by which each counter changes."""

    sale_item_id: int
    reason: str
    order_id: str | None = None
    allotted: int = 0
    held: int = 0
    sold: int = 0


# Made once: making a statement takes longer than sending it.
_ITEM = sale_items.c
_ALLOTTED, _HELD, _SOLD = (
    bindparam(f"delta_{name}", type_=BigInteger) for name in ("allotted", "held", "sold")
)
_ADD = (
    update(sale_items)
    .where(_ITEM.sale_item_id == bindparam("this"))
    .where(_ITEM.held + _HELD >= 0, _ITEM.sold + _SOLD >= 0)
    .where(_ITEM.held + _ITEM.sold + _HELD + _SOLD <= _ITEM.allotted + _ALLOTTED)
    .values(
        allotted=_ITEM.allotted + _ALLOTTED,
        held=_ITEM.held + _HELD,
        sold=_ITEM.sold + _SOLD,
        version=_ITEM.version + 1,
    )
)
_THESE = (reservations.c.order_id == bindparam("of_order")) & (reservations.c.state == bindparam("current"))
_RESERVED = (
    select(reservations.c.sale_item_id, reservations.c.quantity)
    .where(_THESE)
    .order_by(reservations.c.sale_item_id)
)
_END = update(reservations).where(_THESE)


class StockMoved(Contended):
    """The counters no longer allow a movement that was decided on an earlier reading; everything is to be rolled back."""

    def __init__(self, what: str) -> None:
        super().__init__(what, retry_after_s=1)


def move_stock(tx: Tx, movements: Sequence[Movement], *, actor: str) -> None:
    """Append the movements to the ledger and add them to the counters, one UPDATE per item, in the order of their ids.

    Must come last in its transaction: from here on it holds rows that everybody wants. Raises `StockMoved`.
    """
    now = tx.now
    tx.insert(
        stock_ledger,
        [
            {
                "sale_item_id": movement.sale_item_id,
                "order_id": movement.order_id,
                "delta_allotted": movement.allotted,
                "delta_held": movement.held,
                "delta_sold": movement.sold,
                "reason": movement.reason,
                "actor": actor,
                "at": now,
            }
            for movement in movements
        ],
    )
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for movement in movements:
        total = sums[movement.sale_item_id]
        total[0] += movement.allotted
        total[1] += movement.held
        total[2] += movement.sold
    for sale_item_id in sorted(sums):
        _add(tx, sale_item_id, *sums[sale_item_id])


def _add(tx: Tx, sale_item_id: int, allotted: int, held: int, sold: int) -> None:
    deltas = {"delta_allotted": allotted, "delta_held": held, "delta_sold": sold}
    if tx.execute(_ADD, {"this": sale_item_id, **deltas}).rowcount != 1:
        raise StockMoved(
            f"sale item {sale_item_id} does not allow allotted{allotted:+} held{held:+} sold{sold:+}"
        )


def release_held(tx: Tx, order_id: str, *, reason: str, actor: str) -> int:
    """Give back what an order holds; the number of units. The caller holds the order's lock. Raises `StockMoved`."""
    rows = _end_reservations(tx, order_id, ReservationState.RELEASED, reason)
    move_stock(
        tx, [Movement(row.sale_item_id, reason, order_id, held=-row.quantity) for row in rows], actor=actor
    )
    return sum(row.quantity for row in rows)


def sell_held(tx: Tx, order_id: str, *, reason: str, actor: str) -> int:
    """What an order holds becomes sold; the number of units. The caller holds the order's lock. Raises `StockMoved`."""
    rows = _end_reservations(tx, order_id, ReservationState.COMMITTED, reason)
    moved = [
        Movement(row.sale_item_id, reason, order_id, held=-row.quantity, sold=row.quantity) for row in rows
    ]
    move_stock(tx, moved, actor=actor)
    return sum(row.quantity for row in rows)


def return_sold(tx: Tx, order_id: str, *, reason: str, actor: str) -> int:
    """What an order bought is free again; the number of units. The caller holds the order's lock. Raises `StockMoved`."""
    rows = _end_reservations(
        tx, order_id, ReservationState.RETURNED, reason, current=ReservationState.COMMITTED
    )
    move_stock(
        tx, [Movement(row.sale_item_id, reason, order_id, sold=-row.quantity) for row in rows], actor=actor
    )
    return sum(row.quantity for row in rows)


def _end_reservations(
    tx: Tx,
    order_id: str,
    state: ReservationState,
    reason: str,
    *,
    current: ReservationState = ReservationState.HELD,
) -> Sequence[Row[tuple[int, int]]]:
    move_reservation(current, state)
    these = {"of_order": order_id, "current": current}
    rows = tx.all(_RESERVED, these)
    if rows:
        tx.execute(_END, {**these, "state": state, "reason": reason, "updated_at": tx.now})
    return rows


def take_from_hand(tx: Tx, product_id: str, units: int) -> bool:
    """Take units out of a product's `on_hand` (or, below 0, put them back); False if there are not so many."""
    on_hand = products.c.on_hand
    statement = update(products).where(products.c.product_id == product_id, on_hand >= units)
    return tx.execute(statement.values(on_hand=on_hand - units)).rowcount == 1

"""Proving that the books add up, row by row: ledger sums = counters = reservations = the orders' own lines, money included.

Reads one snapshot and changes nothing; `shop.stock.repair` does. What is off is named exactly: the table, the row, the field, and
both figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from sqlalchemy import Row, func, select

from shop.orders.rules import HOLDING_STATES, SOLD_STATES, OrderState, pass_claim
from shop.payments.books import check_money
from shop.stock.mismatch import Mismatch, differ
from shop.stock.rules import ReservationState
from shop.storage.database import Database, Tx
from shop.storage.tables import (
    lanes,
    order_lines,
    orders,
    products,
    reservations,
    sale_items,
    stock_ledger,
)

# (order id, sale item) -> units held, units sold
PerOrder = Mapping[tuple[str, int], tuple[int, int]]
NOTHING = (0, 0)
UNITS = ("held", "sold")
COUNTERS = ("allotted", *UNITS)
_Key = TypeVar("_Key")


def reconcile(db: Database) -> list[Mismatch]:
    """Everything in which the books disagree; empty when they add up. Raises `Unavailable`."""
    return db.snapshot(
        lambda tx: [*_counters(tx), *_orders(tx), *check_money(tx), *_lanes(tx), *_shelves(tx)]
    )


def _counters(tx: Tx) -> Iterator[Mismatch]:
    """Per sale item: what the ledger and the reservations add up to, and the law itself."""
    written = dict(written_by_item(tx))
    reserved = _sum_by_item(tx)
    for item in tx.all(select(sale_items).order_by(sale_items.c.sale_item_id)):
        name = name_of_item(item)
        found = (item.allotted, item.held, item.sold)
        by_ledger = written.pop(item.sale_item_id, (0, 0, 0))
        yield from differ("sale_items", name, COUNTERS, found, by_ledger, "the ledger")
        by_orders = reserved.pop(item.sale_item_id, NOTHING)
        yield from differ("sale_items", name, UNITS, found[1:], by_orders, "the sum of reservations")
        if item.held + item.sold > item.allotted:
            yield Mismatch(
                "sale_items", name, "held + sold", item.held + item.sold, item.allotted, "the allotment"
            )
    # Items that were taken out of a sale before its lobby opened leave a ledger that sums to nothing.
    for gone, left in written.items():
        yield from differ("sale_items", f"{gone} (gone)", COUNTERS, (0, 0, 0), left, "the ledger")
    for gone, units in reserved.items():
        yield from differ("sale_items", f"{gone} (gone)", UNITS, NOTHING, units, "the sum of reservations")


def _orders(tx: Tx) -> Iterator[Mismatch]:
    """Per order and item: what its state and lines say, what is reserved for it, what the ledger has for it."""
    said = said_by_orders(tx)
    reserved = reserved_by_order(tx)
    written = written_by_order(tx)
    for key in sorted({*said, *reserved, *written}):
        expected = said.get(key, NOTHING)
        yield from differ_of_order("reservations", key, reserved.get(key, NOTHING), expected)
        yield from differ_of_order("stock_ledger", key, written.get(key, NOTHING), expected)
    total = func.sum(order_lines.c.quantity * order_lines.c.unit_price)
    query = (
        select(orders.c.order_id, orders.c.total, func.coalesce(total, 0).label("lines"))
        .outerjoin(order_lines, order_lines.c.order_id == orders.c.order_id)
        .group_by(orders.c.order_id, orders.c.total)
        .having(orders.c.total != func.coalesce(total, 0))
    )
    for row in tx.all(query):
        yield Mismatch("orders", row.order_id, "total", row.total, int(row.lines), "the sum of its lines")
    yield from _rows_of_orders(tx)


def _rows_of_orders(tx: Tx) -> Iterator[Mismatch]:
    """A decided order has used its pass up unless it was rejected, and units are held until some moment."""
    columns = (orders.c.order_id, orders.c.sale_id, orders.c.state, orders.c.pass_jti, orders.c.pass_claim)
    claim, rejected = orders.c.pass_claim, orders.c.state == OrderState.REJECTED
    unclaimed = claim.is_(None) | (claim != orders.c.sale_id + ":" + orders.c.pass_jti)
    wrong = (rejected & claim.is_not(None)) | (~rejected & orders.c.seq.is_not(None) & unclaimed)
    for row in tx.all(select(*columns).where(wrong).order_by(orders.c.order_id)):
        right = "nothing" if row.state == OrderState.REJECTED else pass_claim(row.sale_id, row.pass_jti)
        found, by = row.pass_claim or "nothing", f"the order's state {row.state}"
        yield Mismatch("orders", row.order_id, "pass_claim", found, right, by)
    endless = orders.c.state.in_(HOLDING_STATES) & orders.c.hold_expires_at.is_(None)
    for row in tx.all(select(*columns).where(endless).order_by(orders.c.order_id)):
        yield Mismatch(
            "orders", row.order_id, "hold_expires_at", "nothing", "a time", f"the state {row.state}"
        )


def _lanes(tx: Tx) -> Iterator[Mismatch]:
    """Every `seq` of a sale was given, once, from 1 to where the lane stands."""
    counted = func.count(orders.c.seq).label("decided")
    highest = func.coalesce(func.max(orders.c.seq), 0).label("highest")
    query = (
        select(lanes.c.sale_id, lanes.c.seq, counted, highest)
        .outerjoin(orders, orders.c.sale_id == lanes.c.sale_id)
        .group_by(lanes.c.sale_id, lanes.c.seq)
    )
    for row in tx.all(query):
        yield from differ(
            "lanes", row.sale_id, ("seq",), (row.seq,), (row.decided,), "the number of decided orders"
        )
        yield from differ(
            "lanes", row.sale_id, ("seq",), (row.seq,), (row.highest,), "the highest seq of its orders"
        )


def _shelves(tx: Tx) -> Iterator[Mismatch]:
    for row in tx.all(select(products.c.product_id, products.c.on_hand).where(products.c.on_hand < 0)):
        yield Mismatch("products", row.product_id, "on_hand", row.on_hand, "at least 0", "the shelf")


def said_by_orders(tx: Tx) -> PerOrder:
    """What the orders' states and lines say that they hold and have bought."""
    lines = order_lines.c
    units = (
        select(lines.order_id, lines.sale_item_id, lines.quantity, orders.c.state)
        .join(orders, orders.c.order_id == lines.order_id)
        .where(orders.c.state.in_(HOLDING_STATES | SOLD_STATES))
    )
    return {
        (row.order_id, row.sale_item_id): (row.quantity, 0)
        if row.state in HOLDING_STATES
        else (0, row.quantity)
        for row in tx.all(units)
    }


def reserved_by_order(tx: Tx) -> PerOrder:
    """What is reserved for each order."""
    columns = reservations.c
    units = func.sum(columns.quantity).label("units")
    query = select(columns.order_id, columns.sale_item_id, columns.state, units)
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for row in tx.all(query.group_by(columns.order_id, columns.sale_item_id, columns.state)):
        _count(found, (row.order_id, row.sale_item_id), row)
    return found


def _sum_by_item(tx: Tx) -> dict[int, tuple[int, int]]:
    columns = reservations.c
    units = func.sum(columns.quantity).label("units")
    found: dict[int, tuple[int, int]] = {}
    for row in tx.all(
        select(columns.sale_item_id, columns.state, units).group_by(columns.sale_item_id, columns.state)
    ):
        _count(found, row.sale_item_id, row)
    return found


def _count(found: dict[_Key, tuple[int, int]], key: _Key, row: Row[Any]) -> None:
    held, sold = found.get(key, NOTHING)
    match ReservationState(row.state):
        case ReservationState.HELD:
            found[key] = (held + int(row.units), sold)
        case ReservationState.COMMITTED:
            found[key] = (held, sold + int(row.units))
        case _:
            found[key] = (held, sold)


def written_by_item(tx: Tx) -> Mapping[int, tuple[int, int, int]]:
    """The ledger's sums by sale item: allotted, held, sold."""
    ledger = stock_ledger.c
    sums = (func.sum(ledger[f"delta_{name}"]).label(name) for name in COUNTERS)
    rows = tx.all(select(ledger.sale_item_id, *sums).group_by(ledger.sale_item_id))
    return {row.sale_item_id: (int(row.allotted), int(row.held), int(row.sold)) for row in rows}


def written_by_order(tx: Tx) -> PerOrder:
    """What the ledger has for each order."""
    ledger = stock_ledger.c
    held, sold = func.sum(ledger.delta_held).label("held"), func.sum(ledger.delta_sold).label("sold")
    query = select(ledger.order_id, ledger.sale_item_id, held, sold).where(ledger.order_id.is_not(None))
    rows = tx.all(query.group_by(ledger.order_id, ledger.sale_item_id))
    return {(row.order_id, row.sale_item_id): (int(row.held), int(row.sold)) for row in rows}


def name_of_item(item: Row[Any]) -> str:
    """How a row of `sale_items` is called here."""
    return f"{item.sale_item_id} ({item.product_id} in sale {item.sale_id})"


def differ_of_order(
    table: str, key: tuple[str, int], found: tuple[int, int], expected: tuple[int, int]
) -> Iterator[Mismatch]:
    """Held and sold units of one order and item that are not what the order says."""
    yield from differ(table, f"of order {key[0]}, sale item {key[1]}", UNITS, found, expected, "the order")

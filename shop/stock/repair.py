"""Putting right what `reconcile` found, as far as that can be done without guessing.

What people were told stands: orders and their lines, and what providers say of money, are never changed. Reservations, ledger and
counters follow from them. Past movements stay as they are; a correction is one more row. An allotment is lowered to what the
ledger proves and never raised, and where the units that orders have would not fit into it everything of that item is left to a
person, as is every mismatch of money. Safe beside a running sale: whoever moved the same units meanwhile makes it start again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, update

from shop.orders.changes import lock_order
from shop.sales.audit import note
from shop.stock.mismatch import Mismatch, differ
from shop.stock.reconcile import (
    COUNTERS,
    NOTHING,
    PerOrder,
    differ_of_order,
    name_of_item,
    reserved_by_order,
    said_by_orders,
    written_by_item,
    written_by_order,
)
from shop.stock.rules import ReservationState, move_reservation
from shop.storage.database import Contended, Database, Tx
from shop.storage.tables import lanes, orders, reservations, sale_items, stock_ledger

REASON = "reconcile"
_Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Books:
    """What orders say, what is reserved and what the ledger has, by order; and the ledger's sums by item."""

    said: PerOrder
    reserved: PerOrder
    written: PerOrder
    sums: dict[int, tuple[int, int, int]]

    def off(self) -> set[_Key]:
        """The orders and items in which these disagree."""
        keys = {*self.said, *self.reserved, *self.written}
        return {key for key in keys if not self._said(key) == self._reserved(key) == self._written(key)}

    def units(self, sale_item_id: int) -> tuple[int, int]:
        """Held and sold units of an item, by what orders say."""
        mine = [units for key, units in self.said.items() if key[1] == sale_item_id]
        return sum(held for held, _ in mine), sum(sold for _, sold in mine)

    def mismatches(self, key: _Key) -> Iterator[Mismatch]:
        """What will be put right for one order and item."""
        yield from differ_of_order("reservations", key, self._reserved(key), self._said(key))
        yield from differ_of_order("stock_ledger", key, self._written(key), self._said(key))

    def correction(self, key: _Key) -> tuple[int, int]:
        """What the ledger lacks for one order and item."""
        (held, sold), (had, bought) = self._said(key), self._written(key)
        return held - had, sold - bought

    def is_reserved(self, key: _Key) -> bool:
        """Whether the reservations are what the order says."""
        return self._reserved(key) == self._said(key)

    def _said(self, key: _Key) -> tuple[int, int]:
        return self.said.get(key, NOTHING)

    def _reserved(self, key: _Key) -> tuple[int, int]:
        return self.reserved.get(key, NOTHING)

    def _written(self, key: _Key) -> tuple[int, int]:
        return self.written.get(key, NOTHING)


def repair(db: Database, *, why: str, actor: str) -> list[Mismatch]:
    """Make reservations, ledger, counters and lanes what orders say; what was put right, in the words of `reconcile`.

    One transaction. Every changed item gets a row of the ledger (its actor <= 64 characters) and its sale one of the audit, which
    keeps `why`. Raises `Unavailable` if the sale does not stand still long enough.
    """
    return db.run(_repair, why, actor)


def _repair(tx: Tx, why: str, actor: str) -> list[Mismatch]:
    locked = _read(tx).off()
    for order_id in sorted({order_id for order_id, _ in locked}):
        lock_order(tx, order_id)
    # Read before the figures: whoever commits a movement after this changes the version, and `_set_counters` notices.
    items = tx.all(select(sale_items).order_by(sale_items.c.sale_item_id))
    books = _read(tx)
    off = books.off()
    if not off <= locked:
        raise Contended("the books moved while they were put right", retry_after_s=1)
    done: dict[str, list[Mismatch]] = {}
    for item in items:
        mine = sorted(key for key in off if key[1] == item.sale_item_id)
        if repaired := _repair_item(tx, item, mine, books, actor):
            done.setdefault(item.sale_id, []).extend(repaired)
    for mismatch, sale_id in _repair_lanes(tx):
        done.setdefault(sale_id, []).append(mismatch)
    for sale_id, repaired in done.items():
        note(tx, actor, REASON, sale_id, {"why": why, "repaired": [str(one) for one in repaired]})
    return [one for repaired in done.values() for one in repaired]


def _read(tx: Tx) -> _Books:
    return _Books(said_by_orders(tx), reserved_by_order(tx), written_by_order(tx), dict(written_by_item(tx)))


def _repair_item(tx: Tx, item: Row[Any], off: list[_Key], books: _Books, actor: str) -> list[Mismatch]:
    written = books.sums.get(item.sale_item_id, (0, 0, 0))
    held, sold = books.units(item.sale_item_id)
    right = (min(item.allotted, written[0]), held, sold)
    counters = (item.allotted, item.held, item.sold)
    if (not off and right == counters and written[1:] == right[1:]) or held + sold > right[0]:
        return []
    corrections = {key: books.correction(key) for key in off}
    for key in off:
        if not books.is_reserved(key):
            _reserve_anew(tx, key, books.said.get(key, NOTHING))
    # One row for each order that was put right, and one for what no order explains. They are written even when all their figures
    # are 0, so that the ledger tells of every correction.
    left = tuple(
        right[1 + n] - written[1 + n] - sum(units[n] for units in corrections.values()) for n in range(2)
    )
    rows: list[tuple[str | None, tuple[int, int]]] = [(key[0], units) for key, units in corrections.items()]
    if right != counters or left != NOTHING:
        rows.append((None, (left[0], left[1])))
    _write(tx, item.sale_item_id, rows, actor)
    _set_counters(tx, item, right)
    by_orders = differ("sale_items", name_of_item(item), COUNTERS, counters, right, "its orders")
    return [*by_orders, *(one for key in off for one in books.mismatches(key))]


def _reserve_anew(tx: Tx, key: _Key, units: tuple[int, int]) -> None:
    """End what is reserved for this order and item, and lay what the order says."""
    order_id, sale_item_id = key
    mine = (reservations.c.order_id == order_id) & (reservations.c.sale_item_id == sale_item_id)
    ends = (
        (ReservationState.HELD, ReservationState.RELEASED),
        (ReservationState.COMMITTED, ReservationState.RETURNED),
    )
    for current, ended in ends:
        values = {"state": move_reservation(current, ended), "reason": REASON, "updated_at": tx.now}
        tx.execute(update(reservations).where(mine, reservations.c.state == current).values(values))
    states = (ReservationState.HELD, ReservationState.COMMITTED)
    fresh = {"order_id": order_id, "sale_item_id": sale_item_id, "reason": REASON}
    tx.insert(
        reservations,
        [
            {**fresh, "quantity": quantity, "state": state, "created_at": tx.now, "updated_at": tx.now}
            for quantity, state in zip(units, states, strict=True)
            if quantity
        ],
    )


def _write(tx: Tx, sale_item_id: int, rows: Iterable[tuple[str | None, tuple[int, int]]], actor: str) -> None:
    same = {"sale_item_id": sale_item_id, "delta_allotted": 0, "reason": REASON, "actor": actor, "at": tx.now}
    tx.insert(
        stock_ledger,
        [
            {**same, "order_id": order_id, "delta_held": held, "delta_sold": sold}
            for order_id, (held, sold) in rows
        ],
    )


def _set_counters(tx: Tx, item: Row[Any], counters: tuple[int, int, int]) -> None:
    unchanged = (sale_items.c.sale_item_id == item.sale_item_id) & (sale_items.c.version == item.version)
    values = dict(zip(COUNTERS, counters, strict=True))
    changed = tx.execute(update(sale_items).where(unchanged).values(**values, version=item.version + 1))
    if changed.rowcount != 1:
        raise Contended(f"units of sale item {item.sale_item_id} moved meanwhile", retry_after_s=1)


def _repair_lanes(tx: Tx) -> list[tuple[Mismatch, str]]:
    """A lane that has lost count goes on behind the last order it decided; a gap among the orders is left to a person."""
    decided = func.count(orders.c.seq).label("decided")
    highest = func.coalesce(func.max(orders.c.seq), 0).label("highest")
    query = (
        select(lanes.c.sale_id, lanes.c.seq, highest)
        .outerjoin(orders, orders.c.sale_id == lanes.c.sale_id)
        .group_by(lanes.c.sale_id, lanes.c.seq)
        .having(decided == highest, highest != lanes.c.seq)
    )
    done = []
    for row in tx.all(query):
        unchanged = (lanes.c.sale_id == row.sale_id) & (lanes.c.seq == row.seq)
        if tx.execute(update(lanes).where(unchanged).values(seq=row.highest)).rowcount != 1:
            raise Contended(f"the lane of {row.sale_id} moved meanwhile", retry_after_s=1)
        by = "the highest seq of its orders"
        done.append((Mismatch("lanes", row.sale_id, "seq", row.seq, row.highest, by), row.sale_id))
    return done

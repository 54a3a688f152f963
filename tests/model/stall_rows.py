"""What the database of a trace says, in the shape of the paper; and the clock that it is told."""

from __future__ import annotations

from collections import Counter as Multiset
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select, update

from shop.orders.cancel import CANCEL
from shop.payments.apply import REFUND
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Tx
from shop.storage.tables import (
    lanes,
    metadata,
    order_lines,
    orders,
    outbox,
    payments,
    products,
    reservations,
    sale_items,
    stock_ledger,
)

BEGIN = 1_700_000_000_000


@dataclass
class Clock:
    """The database's clock as a trace wants it: every transaction's `now`, on any server. Unix ms."""

    now: int = BEGIN

    def steer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have every transaction read this clock."""
        monkeypatch.setattr(Tx, "now", property(lambda _tx: from_millis(self.now)))


def read_rows(tx: Tx, products_of: dict[int, str]) -> dict[str, Any]:
    """Everything that the paper foretells; `products_of` by sale item."""
    named = {row.order_id: row for row in tx.all(select(orders))}
    units: dict[str, dict[str, int]] = {order_id: {} for order_id in named}
    for row in tx.all(select(order_lines)):
        units[row.order_id][row.product_id] = row.quantity
    reserved: dict[tuple[str, str], Multiset[str]] = {}
    for row in tx.all(select(reservations)):
        key = (row.order_id, products_of[row.sale_item_id])
        assert row.quantity == units[key[0]][key[1]], row
        reserved.setdefault(key, Multiset()).update([row.state])
    shelves = {row.product_id: row.on_hand for row in tx.all(select(products))}
    return {
        "orders": {name: _order(row, units[name]) for name, row in named.items()},
        "payments": {row.payment_id: _payment(row) for row in tx.all(select(payments))},
        "counters": {
            row.product_id: (row.allotted, row.held, row.sold, shelves[row.product_id])
            for row in tx.all(select(sale_items))
        },
        "ledger": Multiset(
            (products_of[row.sale_item_id], row.order_id, row.delta_allotted, row.delta_held, row.delta_sold, row.reason)
            for row in tx.all(select(stock_ledger))
        ),
        "reserved": reserved,
        "seq": tx.scalar(select(lanes.c.seq)),
    }  # fmt: skip


def _order(row: Any, units: dict[str, int]) -> tuple[object, ...]:
    ends = None if row.hold_expires_at is None else to_millis(row.hold_expires_at)
    return (
        *(row.state, row.reason, row.review_reason, row.seq, row.total),
        *(ends, bool(row.hold_extended), units),
    )


def _payment(row: Any) -> tuple[object, ...]:
    late, lease = (None if at is None else to_millis(at) for at in (row.late_at, row.lease_until))
    return (
        *(row.order_id, row.state, row.amount, row.captured, row.captured_currency, row.refunded),
        *(row.refund_until, late, row.review_reason, lease, row.checkout_url is not None),
    )


def same(expected: Any, found: Any, what: str) -> None:
    """Raises AssertionError with the difference only."""
    if expected != found:
        if isinstance(expected, dict) and isinstance(found, dict):
            keys = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
            expected, found = ({key: each.get(key) for key in keys} for each in (expected, found))
        raise AssertionError(f"{what}: the paper says {expected!r}, the shop {found!r}")


def empty(tx: Tx) -> None:
    """Delete every row."""
    for table in metadata.sorted_tables:
        tx.execute(table.delete())


def make_effects_due(tx: Tx) -> None:
    """No waiting for the outbox."""
    waiting = outbox.c.done_at.is_(None) & outbox.c.kind.in_([REFUND, CANCEL])
    values = {"due_at": tx.now, "dead_at": None, "lease_until": None, "attempts": 0}
    tx.execute(update(outbox).where(waiting).values(values))

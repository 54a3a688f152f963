"""Proving that money and orders agree, row by row, as far as the shop's own books can tell. Reads only.

What providers have is not asked here; the sweep and their callbacks bring it in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, exists, select

from shop.orders.rules import SOLD_STATES, OrderState
from shop.payments.apply import REFUND
from shop.payments.review import ReviewStep
from shop.payments.rules import FULFILLED, KEPT, UNPAID, PaymentState
from shop.stock.mismatch import Mismatch, differ
from shop.storage.database import Tx
from shop.storage.tables import audit, orders, outbox, payments

_P = PaymentState


def check_money(tx: Tx) -> Iterator[Mismatch]:
    """Amounts that a payment in its state cannot have, money without its order, orders without their money, lost refunds."""
    columns = (payments, orders.c.state.label("order_state"), orders.c.total)
    query = select(*columns).outerjoin(orders, orders.c.order_id == payments.c.order_id)
    accepted = set(tx.scalars(select(audit.c.subject).where(audit.c.action == ReviewStep.ACCEPT)))
    pays: dict[str, int] = {}
    gone: set[str] = set()
    for row in tx.all(query.order_by(payments.c.created_at, payments.c.payment_id)):
        yield from _amounts(row, row.order_id in accepted)
        yield from _order_of(row)
        if row.state in KEPT or (row.state == _P.REFUND_PENDING and row.refund_until is not None):
            pays[row.order_id] = pays.get(row.order_id, 0) + 1
        elif row.state == _P.REFUNDED:
            gone.add(row.order_id)
    sold = select(orders.c.order_id, orders.c.state, orders.c.total).where(orders.c.state.in_(SOLD_STATES))
    for row in tx.all(sold.order_by(orders.c.order_id)):
        if row.state in FULFILLED and row.order_id in gone and row.order_id not in pays:
            continue  # its money went back behind the shop's back; the goods are the operator's business
        name, by = f"of order {row.order_id}", f"the order's state {row.state}"
        counts = (pays.get(row.order_id, 0),), (1 if row.total else 0,)
        yield from differ("payments", name, ("captured payments",), *counts, by)
    yield from _lost_refunds(tx)


def _order_of(row: Row[Any]) -> Iterator[Mismatch]:
    """Money that the shop keeps belongs to an order that has its units, or waits for the lane."""
    if row.order_state is None:
        yield Mismatch("payments", row.payment_id, "order_id", row.order_id, "an order", "the payment")
        return
    yield from differ(
        "payments", row.payment_id, ("amount",), (row.amount,), (row.total,), "the order's total"
    )
    waits = row.late_at is not None and row.order_state == OrderState.EXPIRED
    if row.state in KEPT and row.order_state not in SOLD_STATES and not waits:
        by = f"{row.state} payment {row.payment_id}"
        yield Mismatch("orders", row.order_id, "state", str(row.order_state), "paid", by)


def _amounts(row: Row[Any], accepted: bool) -> Iterator[Mismatch]:
    """`accepted`: an operator took another amount for the price."""
    by = f"the state {row.state}"
    captured, refunded = row.captured, row.refunded
    if row.state in UNPAID and captured:
        yield Mismatch("payments", row.payment_id, "captured", captured, 0, by)
    if row.state in KEPT and captured != row.amount and not accepted:
        yield Mismatch("payments", row.payment_id, "captured", captured, row.amount, "the amount asked for")
    right = {
        _P.SUCCEEDED: (refunded == 0, "0"),
        _P.PARTIALLY_REFUNDED: (0 < refunded < captured, f"more than 0 and less than {captured}"),
        _P.SUSPENSE: (refunded < max(1, captured), f"less than {captured}"),
        _P.REFUND_PENDING: (refunded < max(1, captured), f"less than {captured}"),
        _P.REFUNDED: (refunded >= captured, str(captured)),
    }
    fits, expected = right.get(PaymentState(row.state), (True, ""))
    if not fits:
        yield Mismatch("payments", row.payment_id, "refunded", refunded, expected, by)


def _lost_refunds(tx: Tx) -> Iterator[Mismatch]:
    """Money on its way back that nothing in the outbox carries."""
    name = outbox.c.dedupe
    first = REFUND + ":" + payments.c.payment_id
    # What begins with "refund:id:" lies before "refund:id;", the next sign.
    mine = (name == first) | ((name > first + ":") & (name < first + ";"))
    carried = exists().where(outbox.c.kind == REFUND, outbox.c.done_at.is_(None), mine)
    pending = select(payments.c.payment_id).where(payments.c.state == PaymentState.REFUND_PENDING, ~carried)
    for payment_id in tx.scalars(pending.order_by(payments.c.payment_id)):
        by = f"the state refund_pending of payment {payment_id}"
        yield Mismatch("outbox", f"{REFUND}:{payment_id}", "effect", "missing", "waiting", by)

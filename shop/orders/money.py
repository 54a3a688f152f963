"""How the payments of an order stand: for those who want to end it, who hold its lock, and for those who tell its buyer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from shop.payments.rules import KEPT, OPEN, PaymentState
from shop.storage.database import Tx
from shop.storage.tables import payments


def payment_states(tx: Tx, order_id: str) -> set[PaymentState]:
    """The states of all attempts to pay the order."""
    return {
        PaymentState(state)
        for state in tx.scalars(select(payments.c.state).where(payments.c.order_id == order_id))
    }


def is_open(states: set[PaymentState]) -> bool:
    """Money may be on its way."""
    return not states.isdisjoint(OPEN)


def is_suspended(states: set[PaymentState]) -> bool:
    """Money of another amount came; the order must not end before somebody has decided about it."""
    return PaymentState.SUSPENSE in states


@dataclass(frozen=True, slots=True)
class Money:
    """Where the money of an order is, in minor units of the order's currency.

    `paid`: what pays for the order, of which `back` was given back and `going_back` is on its way. `waiting`: came after the hold
    and takes its turn. `under_review`: is of another amount or currency, and somebody looks at it. `spare_back` and
    `spare_going_back`: payments that the order could not take. Money of another currency counts as what it was asked to be.
    """

    paid: int = 0
    back: int = 0
    going_back: int = 0
    waiting: int = 0
    under_review: int = 0
    spare_back: int = 0
    spare_going_back: int = 0


def money_of(attempts: Iterable[Row[Any]]) -> Money:
    """Add up the payments of an order."""
    sums = dict.fromkeys(Money.__dataclass_fields__, 0)
    for row in attempts:
        for name, amount in _parts(row):
            sums[name] += amount
    return Money(**sums)


# Money of another currency pays for nothing: it waits for a look, and goes back.
_FOREIGN = {
    PaymentState.SUSPENSE: "under_review",
    PaymentState.REFUND_PENDING: "spare_going_back",
    PaymentState.REFUNDED: "spare_back",
}


def _parts(row: Row[Any]) -> list[tuple[str, int]]:
    state = PaymentState(row.state)
    if row.captured_currency is not None:
        return [(_FOREIGN[state], row.amount)]
    # Money that is asked back for an order knows how much of it; money that has no order goes back whole.
    if state in KEPT and row.late_at is not None:
        return [("waiting", row.captured - row.refunded), ("back", row.refunded)]
    if state in KEPT:
        return [("paid", row.captured), ("back", row.refunded)]
    if state is PaymentState.SUSPENSE:
        return [("under_review", row.captured)]
    if state is PaymentState.REFUND_PENDING and row.refund_until is not None:
        return [
            ("paid", row.captured),
            ("back", row.refunded),
            ("going_back", row.refund_until - row.refunded),
        ]
    if state is PaymentState.REFUND_PENDING:
        return [("spare_back", row.refunded), ("spare_going_back", row.captured - row.refunded)]
    return [("spare_back", row.refunded)] if state is PaymentState.REFUNDED else []

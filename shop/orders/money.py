"""How the payments of an order stand, for those who want to end it. Under the order's lock they stand still."""

from __future__ import annotations

from sqlalchemy import select

from shop.payments.rules import OPEN, PaymentState
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

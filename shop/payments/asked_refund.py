"""The shop gives money of an order back, all of it or a part: asked for by an operator, carried out by the provider.

Asking commits the wish, the order's way to `refunding` and the effect that calls the provider, together. What the provider answers
is settled like any other news; if it will not, payment and order are what they were before, and somebody shall look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, update

from shop.errors import FieldFault, IllegalMove, InvalidFields
from shop.mail.effects import Request, put_effects
from shop.orders.changes import lock_order, move_order
from shop.orders.rules import OrderState, UnknownOrder
from shop.payments.apply import REFUND, refund_order
from shop.payments.rules import KEPT, PaymentState, StaleRefund, move
from shop.sales.audit import note
from shop.sales.rules import reason_faults
from shop.storage.columns import to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import orders, payments
from shop.vault import Vault

ACTION = "refund"


@dataclass(frozen=True, slots=True)
class RefundWish:
    """Give `amount` minor units back (None: all that is left), because of `reason`.

    `was`: what was back before, so that a repeated wish for a part is carried out once; a whole refund is, anyway.
    """

    order_id: str
    reason: str
    amount: int | None = None
    was: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller announces: the sale whose stock changed, if there was nothing to ask a provider for."""

    sale_ids: tuple[str, ...] = ()


def ask_refund(db: Database, vault: Vault, operator_id: str, wish: RefundWish) -> Asked:
    """Put a refund on its way; one that gives all back twice is asked for once.

    Raises UnknownOrder, IllegalMove naming both states, StaleRefund, or InvalidFields.
    """
    faults = reason_faults(wish.reason)
    if wish.amount is not None and wish.amount <= 0:
        faults.append(FieldFault("amount", "must be above 0, or left out for all of it"))
    if faults:
        raise InvalidFields(faults)
    return db.run(_ask, vault, operator_id, wish)


def _ask(tx: Tx, vault: Vault, operator_id: str, wish: RefundWish) -> Asked:
    order = lock_order(tx, wish.order_id)
    if order is None:
        raise UnknownOrder("there is no such order")
    if wish.amount is None and order.state in (OrderState.REFUNDING, OrderState.REFUNDED):
        return Asked()
    attempts = tx.all(select(payments).where(payments.c.order_id == order.order_id))
    payment = next((row for row in attempts if row.state in KEPT), None)
    busy = next((row for row in attempts if row.state == PaymentState.REFUND_PENDING), None)
    if payment is None and busy is not None and order.total:
        raise IllegalMove("payment", busy.state, PaymentState.REFUND_PENDING)
    if payment is None:
        owed = order.total and not any(row.state == PaymentState.REFUNDED for row in attempts)
        if owed or wish.amount is not None:
            raise IllegalMove("order", order.state, OrderState.REFUNDING)
        return _free(tx, vault, order, operator_id, wish)
    until = _until(payment, wish)
    whole = until == payment.captured
    if whole:
        move_order(tx, order, OrderState.REFUNDING)
    elif order.state not in PAID_FOR:
        raise IllegalMove("order", order.state, OrderState.REFUNDING)
    detail = {"amount": until - payment.refunded, "currency": payment.currency, "reason": wish.reason}
    note(tx, operator_id, ACTION, order.order_id, detail)
    _wish(tx, vault, payment, until)
    return Asked()


PAID_FOR = frozenset(
    {
        OrderState.PAID,
        OrderState.FULFILLING,
        OrderState.SHIPPED,
        OrderState.DELIVERED,
        OrderState.RETURN_REQUESTED,
        OrderState.RETURNED,
    }
)


def _until(payment: Row[Any], wish: RefundWish) -> int:
    """How much is to be back in all."""
    if wish.was is not None and wish.was != payment.refunded:
        raise StaleRefund(f"{payment.refunded} are back by now")
    left = payment.captured - payment.refunded
    if wish.amount is not None and wish.amount > left:
        raise InvalidFields([FieldFault("amount", f"must be at most the {left} that are left")])
    return int(payment.refunded + (left if wish.amount is None else wish.amount))


def _wish(tx: Tx, vault: Vault, payment: Row[Any], until: int) -> None:
    state = move(PaymentState(payment.state), PaymentState.REFUND_PENDING)
    this = payments.c.payment_id == payment.payment_id
    changes = {"state": state, "refund_until": until, "review_reason": None, "updated_at": tx.now}
    tx.execute(update(payments).where(this).values(changes))
    key = f"{to_millis(tx.now)}-{until}"
    payload = {
        "payment_id": payment.payment_id,
        "until": until,
        "amount": until - payment.refunded,
        "key": key,
    }
    put_effects(tx, vault, [Request(REFUND, f"{REFUND}:{payment.payment_id}:{key}", payload)])


def _free(tx: Tx, vault: Vault, order: Row[Any], operator_id: str, wish: RefundWish) -> Asked:
    """There is no money to give back: the order cost nothing, or all of it went back behind the shop's back while its goods were
    out. Its units are free at once."""
    move_order(tx, order, OrderState.REFUNDING)
    note(tx, operator_id, ACTION, order.order_id, {"amount": 0, "reason": wish.reason})
    order = tx.one(select(orders).where(orders.c.order_id == order.order_id))
    refund_order(tx, vault, order, actor=f"operator:{operator_id}")
    return Asked((order.sale_id,))

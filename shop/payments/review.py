"""The operator settles what waits for a look: money of another amount is taken or returned, and any other review is closed."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import select, update

from shop.errors import IllegalMove, InvalidFields
from shop.orders.changes import lock_order
from shop.orders.rules import UnknownOrder
from shop.payments.apply import Settled, apply, lock_case
from shop.payments.rules import PaymentState, Ruling, Verdict
from shop.payments.ruling import accept_suspended, give_back
from shop.sales.audit import note
from shop.sales.rules import reason_faults
from shop.storage.database import Database, Tx
from shop.storage.tables import orders, payments
from shop.vault import Vault


class ReviewStep(StrEnum):
    """What an operator decides."""

    ACCEPT = "accept-payment"  # the other amount pays the order, while its units are held
    RETURN = "return-payment"  # the money goes back, and the order waits for it no longer
    CLOSE = "close-review"  # looked at; nothing moves


def settle_review(
    db: Database, vault: Vault, operator_id: str, order_id: str, step: ReviewStep, reason: str
) -> Settled:
    """Settle the review of an order, with a reason for others to read.

    Raises UnknownOrder, IllegalMove where nothing waits that this could settle, or InvalidFields.
    """
    if faults := reason_faults(reason):
        raise InvalidFields(faults)
    return db.run(_settle, vault, operator_id, order_id, step, reason)


def _settle(tx: Tx, vault: Vault, operator_id: str, order_id: str, step: ReviewStep, reason: str) -> Settled:
    order = lock_order(tx, order_id)
    if order is None:
        raise UnknownOrder("there is no such order")
    suspended = (payments.c.order_id == order_id) & (payments.c.state == PaymentState.SUSPENSE)
    payment_id = tx.scalar(select(payments.c.payment_id).where(suspended).order_by(payments.c.created_at))
    case = None if payment_id is None else lock_case(tx, payment_id)
    if step is ReviewStep.CLOSE:
        if order.review_reason is None or payment_id is not None:
            raise IllegalMove("review", order.review_reason or "none", "closed")
        ruling = Ruling(Verdict.RECORDED)
    else:
        if case is None:
            raise IllegalMove("payment", "none", step)
        decide = accept_suspended if step is ReviewStep.ACCEPT else give_back
        ruling = decide(case.attempt, case.purchase(tx))
    note(tx, operator_id, step, order_id, {"was": order.review_reason, "reason": reason})
    for table in (orders, payments):
        this = update(table).where(table.c.order_id == order_id)
        tx.execute(this.values(review_reason=None, updated_at=tx.now))
    if step is ReviewStep.CLOSE or case is None:
        return Settled(ruling.verdict)
    return apply(tx, vault, case, ruling, actor=f"operator:{operator_id}")

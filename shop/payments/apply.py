"""Carries out a ruling on a payment and its order, inside the caller's transaction and under the order's lock.

A payment changes its state here or in `start` only, with its order locked: whoever holds that lock sees the payments of the
order stand still. Decides nothing; `rules` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from shop.mail.effects import Request, put_effects
from shop.orders.changes import end_order, move_order, pay_order
from shop.orders.letters import put_change_letter, put_part_letter, put_return_letter
from shop.orders.rules import Ended, OrderState
from shop.payments.rules import KEPT, OPEN, Attempt, Fate, PaymentState, Purchase, Ruling, Verdict, move
from shop.stock.moves import return_sold
from shop.storage.database import NOW, Contended, Tx
from shop.storage.tables import orders, payments
from shop.vault import Vault

REFUND = "refund"  # the kind of outbox effect
UNDECIDED_FOR = timedelta(hours=24)  # how long unknown callbacks are tried again and suspended money is kept


# Made once: making a statement takes longer than sending it. The payments are read once their order is locked. Against most races the
# inbox's unique row and the compare-and-set of payment and order would do without the lock. What they cannot see are changes that
# leave the state as it is (parts given back: the older sum would overwrite the newer), and rulings on the order's other payments.
_LOCKED = (
    select(orders)
    .where(
        orders.c.order_id
        == select(payments.c.order_id)
        .where(payments.c.payment_id == bindparam("of_payment"))
        .scalar_subquery()
    )
    .with_for_update()
)
_ATTEMPTS = (
    select(payments, NOW).where(payments.c.order_id == bindparam("of_order")).order_by(payments.c.created_at)
)
_UNCHANGED = update(payments).where(
    payments.c.payment_id == bindparam("this"), payments.c.state == bindparam("current")
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a report: the verdict, and what the caller announces after the commit.

    `ended`: orders whose slot in the room is free; `sale_ids`: sales whose stock changed.
    """

    verdict: Verdict
    ended: tuple[Ended, ...] = ()
    sale_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A payment, its locked order, and the order's other payments, as rows."""

    payment: Row[Any]
    order: Row[Any]
    others: tuple[Row[Any], ...]

    @property
    def attempt(self) -> Attempt:
        return attempt_of(self.payment)

    def purchase(self, tx: Tx) -> Purchase:
        """The order behind the payment, by the time of this transaction."""
        over = self.order.hold_expires_at is None or self.order.hold_expires_at <= tx.now
        states = {PaymentState(other.state) for other in self.others}
        suspended = PaymentState.SUSPENSE in states
        is_open, is_kept = not states.isdisjoint(OPEN), not states.isdisjoint(KEPT)
        return Purchase(OrderState(self.order.state), over, is_open, suspended, is_kept)


def attempt_of(row: Row[Any]) -> Attempt:
    """A payment's row as the rules see it."""
    state = PaymentState(row.state)
    return Attempt(
        state,
        row.amount,
        row.currency,
        row.captured,
        row.refunded,
        row.refund_until,
        claimed=row.refund_claimed,
        foreign=row.captured_currency is not None,
    )


def lock_case(tx: Tx, payment_id: str, provider: str | None = None) -> Case | None:
    """The payment with its order locked; None if there is no such payment (of that provider)."""
    order = tx.first(_LOCKED, {"of_payment": payment_id})
    if order is None:
        return None
    rows = tx.all_and_now(_ATTEMPTS, {"of_order": order.order_id})
    payment = next(row for row in rows if row.payment_id == payment_id)
    if provider is not None and payment.provider != provider:
        return None
    return Case(payment, order, tuple(row for row in rows if row.payment_id != payment_id))


def apply(tx: Tx, vault: Vault, case: Case, ruling: Ruling, *, actor: str) -> Settled:
    """Write the ruling down. Touches stock rows, so it comes last in its transaction."""
    _change_payment(tx, case.payment, ruling)
    if ruling.review is not None:
        same_order = orders.c.order_id == case.order.order_id
        tx.execute(update(orders).where(same_order).values(review_reason=ruling.review, updated_at=tx.now))
    if ruling.refund_due:
        put_effects(tx, vault, [refund_request(case.payment.payment_id)])
        put_return_letter(tx, vault, case.order, case.payment.payment_id)
    if ruling.verdict is Verdict.PARTIALLY_REFUNDED and ruling.refunded is not None:
        amount = None if case.attempt.foreign else ruling.refunded - case.payment.refunded
        put_part_letter(tx, vault, case.order, case.payment.payment_id, amount, ruling.refunded)
    match ruling.order:
        case Fate.PAID:
            put_change_letter(tx, vault, case.order, OrderState.PAID)
            ended = (pay_order(tx, case.order, actor=actor),)
        case Fate.EXPIRED:
            put_change_letter(tx, vault, case.order, OrderState.EXPIRED)
            ended = (end_order(tx, case.order, OrderState.EXPIRED, reason="expired", actor=actor),)
        case Fate.RESERVED:
            move_order(tx, case.order, OrderState.RESERVED)
            return Settled(ruling.verdict)
        case Fate.REFUNDED:
            refund_order(tx, vault, case.order, actor=actor)
            return Settled(ruling.verdict, (), (case.order.sale_id,))
        case Fate.KEPT:
            move_order(tx, case.order, OrderState.PAID)
            return Settled(ruling.verdict)
        case Fate.STAYS:
            return Settled(ruling.verdict)
    return Settled(ruling.verdict, ended, (case.order.sale_id,))


def refund_request(payment_id: str) -> Request:
    """The effect that asks the provider to give a payment's money back."""
    return Request(REFUND, f"{REFUND}:{payment_id}", {"payment_id": payment_id})


def _change_payment(tx: Tx, payment: Row[Any], ruling: Ruling) -> None:
    state = PaymentState(payment.state)
    for wanted in ruling.moves:
        state = move(state, wanted)
    changes: dict[str, Any] = {"state": state, "updated_at": tx.now}
    if ruling.moves:
        changes["lease_until"] = changes["refund_until"] = None
        changes["late_at"] = _waits_since(tx, payment, ruling)
    amounts = {
        "captured": ruling.captured,
        "captured_currency": ruling.currency,
        "refunded": ruling.refunded,
        "refund_claimed": ruling.claimed,
    }
    changes |= {name: amount for name, amount in amounts.items() if amount is not None}
    if ruling.review is not None:
        changes["review_reason"] = ruling.review
    if len(changes) == 2 and not ruling.moves:
        return
    found = {"this": payment.payment_id, "current": payment.state}
    if tx.execute(_UNCHANGED, {**found, **changes}).rowcount != 1:
        raise Contended(f"payment {payment.payment_id} was changed by somebody else", retry_after_s=1)


def _waits_since(tx: Tx, payment: Row[Any], ruling: Ruling) -> datetime | None:
    """Since when the payment waits for the lane to decide. A part of it that went back decides nothing about the rest."""
    if ruling.verdict is Verdict.PARTIALLY_REFUNDED:
        since: datetime | None = payment.late_at
        return since
    return tx.now if ruling.verdict is Verdict.LATE else None


def refund_order(tx: Tx, vault: Vault, order: Row[Any], *, actor: str) -> None:
    """All the money is back: the order is over and its units are free again. Touches stock rows, so it comes last."""
    put_change_letter(tx, vault, order, OrderState.REFUNDED)
    if OrderState(order.state) is OrderState.PAID:
        move_order(tx, order, OrderState.REFUNDING)
        order = tx.one(select(orders).where(orders.c.order_id == order.order_id))
    move_order(tx, order, OrderState.REFUNDED)
    return_sold(tx, order.order_id, reason="refunded", actor=actor)

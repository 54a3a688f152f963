"""What does not go on by itself and waits for an operator, and the one thing that can simply be tried again.

These lists are short in a healthy shop. They are found without indexes of their own, which every order would have to pay for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, or_, select

from shop.errors import InvalidFields, Refused
from shop.mail.effects import of_subject, try_again
from shop.orders.changes import lock_order
from shop.orders.rules import OrderState, UnknownOrder
from shop.payments.rules import PaymentState, Verdict
from shop.sales import audit
from shop.sales.rules import reason_faults
from shop.storage.database import Database, Tx
from shop.storage.tables import orders, outbox, payment_events, payments

MOST_OF_A_KIND = 100
# The sweeper gives a provider that cannot be reached ten minutes after the hold, and comes by every two seconds.
PAYING_TOO_LONG = timedelta(minutes=11)
_SUSPENDED = payments.c.state == PaymentState.SUSPENSE


class NotStuck(Refused):
    """There is no given-up effect of this number: it was done, or somebody has had it tried again."""


@dataclass(frozen=True, slots=True)
class StuckThing:
    """One thing that waits for somebody. `kind`: effect, review, suspended, unknown_callback or paying_too_long; `ref`: the number of
    the effect, or the id of the payment or the event; `note`: why, as the books have it.
    """

    kind: str
    at: datetime
    ref: str
    note: str
    order_id: str | None = None
    attempts: int | None = None


def read_stuck(db: Database) -> list[StuckThing]:
    """Everything that waits, the newest of each kind first, at most `MOST_OF_A_KIND` of each."""
    return db.read(lambda tx: [*_effects(tx), *_suspended(tx), *_reviews(tx), *_unknown(tx), *_paying(tx)])


def retry_effect(db: Database, operator_id: str, outbox_id: int) -> None:
    """Have a given-up effect tried afresh; audited. Raises `NotStuck`. The caller rings for whoever carries it out."""
    db.run(_retry, operator_id, outbox_id)


def _retry(tx: Tx, operator_id: str, outbox_id: int) -> None:
    row = tx.first(select(outbox.c.kind, outbox.c.dedupe).where(outbox.c.outbox_id == outbox_id))
    if row is None or not try_again(tx, outbox_id):
        raise NotStuck("this has been done, or is being tried again")
    audit.note(tx, operator_id, "retry", _subject(row.dedupe), {"effect": row.kind, "outbox_id": outbox_id})


def retry_order(db: Database, operator_id: str, order_id: str, reason: str) -> int:
    """Have everything of an order that was given up tried afresh; how many. Raises UnknownOrder, NotStuck or InvalidFields."""
    if reason and (faults := reason_faults(reason)):
        raise InvalidFields(faults)
    return db.run(_retry_order, operator_id, order_id, reason)


def _retry_order(tx: Tx, operator_id: str, order_id: str, reason: str) -> int:
    if lock_order(tx, order_id) is None:
        raise UnknownOrder("there is no such order")
    paid = tx.scalars(select(payments.c.payment_id).where(payments.c.order_id == order_id))
    given_up = tx.scalars(given_up_of([order_id, *paid]))
    revived = sum(try_again(tx, outbox_id) for outbox_id in given_up)
    if not revived:
        raise NotStuck("nothing of this order has been given up")
    audit.note(tx, operator_id, "retry", order_id, {"effects": revived, "reason": reason})
    return revived


def given_up_of(subjects: Sequence[str]) -> Select[Any]:
    """The numbers of the given-up effects of an order and its payments."""
    dead = outbox.c.done_at.is_(None) & outbox.c.dead_at.is_not(None)
    return select(outbox.c.outbox_id).where(dead, or_(*(of_subject(one) for one in subjects)))


def _subject(dedupe: str) -> str:
    """Whom an effect is for: names read kind ":" id and, where there may be several, ":" and what tells them apart."""
    return dedupe.split(":")[1] if ":" in dedupe else dedupe


def _effects(tx: Tx) -> Iterator[StuckThing]:
    given_up = outbox.c.done_at.is_(None) & outbox.c.dead_at.is_not(None)
    rows = tx.all(select(outbox).where(given_up).order_by(outbox.c.dead_at.desc()).limit(MOST_OF_A_KIND))
    subjects = {_subject(row.dedupe) for row in rows}
    known = set(tx.scalars(select(orders.c.order_id).where(orders.c.order_id.in_(subjects))))
    of_payment = {
        row.payment_id: row.order_id
        for row in tx.all(
            select(payments.c.payment_id, payments.c.order_id).where(payments.c.payment_id.in_(subjects))
        )
    }
    for row in rows:
        subject = _subject(row.dedupe)
        order_id = subject if subject in known else of_payment.get(subject)
        note = f"{row.kind}: {row.last_error or ''}"
        yield StuckThing("effect", row.dead_at, str(row.outbox_id), note, order_id, row.attempts)


def _suspended(tx: Tx) -> Iterator[StuckThing]:
    for row in tx.all(
        select(payments).where(_SUSPENDED).order_by(payments.c.updated_at.desc()).limit(MOST_OF_A_KIND)
    ):
        note = row.review_reason or row.state
        yield StuckThing("suspended", row.updated_at, row.payment_id, note, row.order_id)


def _reviews(tx: Tx) -> Iterator[StuckThing]:
    for table, name in ((orders, "order_id"), (payments, "payment_id")):
        mine = table.c.review_reason.is_not(None) & (table.c.state != PaymentState.SUSPENSE)
        if table is orders:  # told by the suspended payment
            mine &= orders.c.order_id.not_in(select(payments.c.order_id).where(_SUSPENDED))
        for row in tx.all(
            select(table).where(mine).order_by(table.c.updated_at.desc()).limit(MOST_OF_A_KIND)
        ):
            ref = row._mapping[name]
            yield StuckThing("review", row.updated_at, ref, row.review_reason, row.order_id)


def _unknown(tx: Tx) -> Iterator[StuckThing]:
    mine = payment_events.c.verdict == Verdict.UNKNOWN_PAYMENT
    query = select(payment_events).where(mine).order_by(payment_events.c.received_at.desc())
    for row in tx.all(query.limit(MOST_OF_A_KIND)):
        note = f"{row.provider}: {row.event_type} {row.payment_id or ''}".rstrip()
        yield StuckThing("unknown_callback", row.received_at, row.event_id, note)


def _paying(tx: Tx) -> Iterator[StuckThing]:
    mine = (orders.c.state == OrderState.PAYING) & (orders.c.hold_expires_at < tx.now - PAYING_TOO_LONG)
    for row in tx.all(select(orders).where(mine).order_by(orders.c.hold_expires_at).limit(MOST_OF_A_KIND)):
        yield StuckThing("paying_too_long", row.hold_expires_at, row.order_id, row.state, row.order_id)

"""Hearing from a provider: a callback, or its answer to a question, becomes at most one change of payment, order and stock.

The inbox row of a callback is written in the same transaction as its effect, so that an event counts once however often and
however parallel it arrives; a transaction that fails takes both back. A stranger's callback ends in a refusal of `rules` and
changes nothing. Knows no HTTP but the headers of a callback.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, select, update

from shop.payments.apply import UNDECIDED_FOR, Case, Settled, apply, lock_case
from shop.payments.providers import Callback, Provider, Providers
from shop.payments.rules import PaymentState, Report, Ruling, Unreadable, Verdict
from shop.payments.ruling import give_back, refund_refused, rule
from shop.storage.database import Database, Tx
from shop.storage.tables import payment_events, payments
from shop.vault import Vault

log = structlog.get_logger(__name__)

# Made once: making a statement takes longer than sending it.
_SEEN = select(payment_events.c.inbox_id, payment_events.c.verdict).where(
    payment_events.c.provider == bindparam("of_provider"), payment_events.c.event_id == bindparam("event")
)


def receive(
    db: Database, vault: Vault, provider: Provider, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> Settled:
    """Take a provider's callback. `headers` by lower-case name; `now` is this machine's time, against old recordings.

    The verdict is closed (see `Verdict`). Raises BadSignature, Unreadable, BodyTooLarge or Unavailable; nothing is kept then.
    """
    callback = provider.read_callback(headers, body, now)
    settled = db.run(_take, vault, provider.name, callback, body.decode())
    log.info(
        "callback_taken",
        provider=provider.name,
        event_id=callback.event_id,
        event_type=callback.event_type,
        payment_id=callback.payment_id,
        verdict=settled.verdict,
    )
    return settled


def settle_report(db: Database, vault: Vault, payment_id: str, report: Report) -> Settled:
    """Settle what a provider has answered about a payment of ours."""
    settled = db.run(_settle_answer, vault, payment_id, report)
    log.info("payment_settled", payment_id=payment_id, fact=report.fact, verdict=settled.verdict)
    return settled


def settle_refusal(db: Database, vault: Vault, payment_id: str) -> Settled:
    """The provider has answered that it will not give the money of a payment back."""
    return db.run(_settle_refusal, vault, payment_id)


def retry_unknown(db: Database, vault: Vault, providers: Providers, *, limit: int = 50) -> list[Settled]:
    """Try again the callbacks of the last 24 h whose payment was not known; only those that are known by now are touched."""
    settled = []
    for row in db.read(_known_by_now, limit):
        provider = providers.get(row.provider)
        if provider is None:
            continue
        try:
            callback = provider.read_event(row.event_id, row.body.encode())
        except Unreadable:  # kept by an adapter that read more than today's
            log.warning("kept_callback_unreadable", provider=provider.name, event_id=row.event_id)
            continue
        settled.append(db.run(_take, vault, provider.name, callback, row.body))
    return settled


def give_back_suspended(db: Database, vault: Vault, *, limit: int = 50) -> list[Settled]:
    """Send back the money that was suspended 24 h ago and that nobody has decided on since; its orders wait no longer."""
    return [db.run(_give_back, vault, payment_id) for payment_id in db.read(_long_suspended, limit)]


def _take(tx: Tx, vault: Vault, provider: str, callback: Callback, body: str) -> Settled:
    # The order is locked before the inbox is read: of two deliveries of one event the second one sees the first one's row.
    case = None if callback.payment_id is None else lock_case(tx, callback.payment_id, provider)
    seen = _inbox_row(tx, provider, callback.event_id)
    if seen is not None and (seen.verdict != Verdict.UNKNOWN_PAYMENT or case is None):
        same_news = seen.verdict == Verdict.UNKNOWN_PAYMENT
        return Settled(Verdict.UNKNOWN_PAYMENT if same_news else Verdict.REPEATED)
    if case is None or callback.report is None:
        verdict = Verdict.RECORDED if callback.report is None else Verdict.UNKNOWN_PAYMENT
        _note(tx, provider, callback, body, verdict, seen)
        return Settled(verdict)
    ruling = rule(case.attempt, case.purchase(tx), callback.report)
    _note(tx, provider, callback, body, ruling.verdict, seen)
    return apply(tx, vault, case, ruling, actor=_actor(case))


def _settle_answer(tx: Tx, vault: Vault, payment_id: str, report: Report) -> Settled:
    case = lock_case(tx, payment_id)
    if case is None:
        raise LookupError(f"payment {payment_id} does not exist")
    return apply(tx, vault, case, rule(case.attempt, case.purchase(tx), report), actor=_actor(case))


def _settle_refusal(tx: Tx, vault: Vault, payment_id: str) -> Settled:
    case = lock_case(tx, payment_id)
    if case is None:
        raise LookupError(f"payment {payment_id} does not exist")
    return apply(tx, vault, case, refund_refused(case.attempt, case.purchase(tx)), actor=_actor(case))


def _give_back(tx: Tx, vault: Vault, payment_id: str) -> Settled:
    case = lock_case(tx, payment_id)
    ruling = Ruling(Verdict.STALE) if case is None else give_back(case.attempt, case.purchase(tx))
    return Settled(ruling.verdict) if case is None else apply(tx, vault, case, ruling, actor="sweep")


def _actor(case: Case) -> str:
    return f"provider:{case.payment.provider}"


def _inbox_row(tx: Tx, provider: str, event_id: str) -> Row[Any] | None:
    return tx.first(_SEEN, {"of_provider": provider, "event": event_id})


def _note(
    tx: Tx, provider: str, callback: Callback, body: str, verdict: Verdict, seen: Row[Any] | None
) -> None:
    """Put the callback into the inbox, or write the new verdict to where it already is."""
    if seen is not None:
        this = payment_events.c.inbox_id == seen.inbox_id
        tx.execute(update(payment_events).where(this).values(verdict=verdict))
        return
    row = {
        "provider": provider,
        "event_id": callback.event_id,
        "event_type": callback.event_type,
        "payment_id": callback.payment_id,
        "verdict": verdict,
        "body": body,
        "received_at": tx.now,
    }
    tx.insert(payment_events, [row])


def _known_by_now(tx: Tx, limit: int) -> list[Row[Any]]:
    inbox = payment_events.c
    return list(
        tx.all(
            select(inbox.provider, inbox.event_id, inbox.body)
            .join(payments, payments.c.payment_id == inbox.payment_id)
            .where(payments.c.provider == inbox.provider)
            .where(inbox.verdict == Verdict.UNKNOWN_PAYMENT, inbox.received_at > tx.now - UNDECIDED_FOR)
            .order_by(inbox.inbox_id)
            .limit(limit)
        )
    )


def _long_suspended(tx: Tx, limit: int) -> list[str]:
    old = (payments.c.state == PaymentState.SUSPENSE) & (payments.c.updated_at <= tx.now - UNDECIDED_FOR)
    return list(
        tx.scalars(select(payments.c.payment_id).where(old).order_by(payments.c.updated_at).limit(limit))
    )

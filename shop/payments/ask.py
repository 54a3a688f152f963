"""Asking the provider how an order's open payments stand, always outside any transaction.

The expiry sweep and a cancelling buyer ask before they end an order, so that money on its way is not overlooked. A provider
that cannot be reached is an answer, too: what follows from it is for the asker to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Row, select

from shop.orders.rules import Ended, OrderState
from shop.payments.apply import Settled
from shop.payments.providers import Provider, Providers
from shop.payments.rules import OPEN, Fact, PaymentState, ProviderRefused, ProviderUnavailable, Report
from shop.payments.settle import settle_report
from shop.storage.database import Database, Tx
from shop.storage.tables import orders, payments
from shop.vault import Vault

log = structlog.get_logger(__name__)


class Answer(StrEnum):
    """How an order's payments stand after asking; everything heard is settled already."""

    PAID = "paid"  # money came: the order is paid
    CANCELLED = "cancelled"  # no attempt is open, and the provider takes no more money for any of them
    SUSPENDED = (
        "suspended"  # money of another amount came: the order must not end before somebody has decided
    )
    UNREACHABLE = "unreachable"  # an attempt may still be open


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer, and what the caller announces; the order may have ended by it."""

    answer: Answer
    ended: tuple[Ended, ...] = ()
    sale_ids: tuple[str, ...] = ()


def ask_provider(db: Database, vault: Vault, providers: Providers, order_id: str) -> Asked:
    """End the order's open attempts at the provider, or hear that they were paid. Up to two calls of 5 s each.

    An attempt that ends here takes its order back to `reserved`, or to `expired` where the hold is over.
    """
    settled: list[Settled] = []
    unreachable = False
    for attempt in db.read(_open_attempts, order_id):
        report = _ended(providers.get(attempt.provider), attempt, db.read(lambda tx: tx.now))
        if report is None:
            unreachable = True
        else:
            settled.append(settle_report(db, vault, attempt.payment_id, report))
    answer = Answer.UNREACHABLE if unreachable else db.read(_standing, order_id)
    ended = tuple(end for each in settled for end in each.ended)
    return Asked(answer, ended, tuple({sale_id for each in settled for sale_id in each.sale_ids}))


def look_again(db: Database, vault: Vault, providers: Providers, order_id: str) -> list[Settled]:
    """Hear how the open attempts stand without ending any: for a buyer who comes back before the callback does."""
    settled = []
    for attempt in db.read(_open_attempts, order_id):
        provider = providers.get(attempt.provider)
        report = None if provider is None else _fetched(provider, attempt)
        if report is not None:
            settled.append(settle_report(db, vault, attempt.payment_id, report))
    return settled


def _ended(provider: Provider | None, attempt: Row[Any], now: datetime) -> Report | None:
    """The attempt's end at the provider; None while it may still be open there."""
    if provider is None:
        return None
    try:
        report = provider.fetch(attempt.payment_id, attempt.provider_ref)
        if report is not None and report.fact is Fact.PENDING:
            report = provider.cancel(attempt.payment_id, attempt.provider_ref)
    except (ProviderUnavailable, ProviderRefused) as error:
        log.warning(
            "provider_not_reached", provider=provider.name, payment_id=attempt.payment_id, what=error.what
        )
        return None
    if report is None:  # the provider never heard of it, unless the call that starts it is still on its way
        starting = attempt.lease_until is not None and attempt.lease_until > now
        return None if starting else Report(Fact.CANCELLED, attempt.amount, attempt.currency)
    return None if report.fact is Fact.PENDING else report


def _fetched(provider: Provider, attempt: Row[Any]) -> Report | None:
    try:
        return provider.fetch(attempt.payment_id, attempt.provider_ref)
    except (ProviderUnavailable, ProviderRefused) as error:
        log.warning(
            "provider_not_reached", provider=provider.name, payment_id=attempt.payment_id, what=error.what
        )
        return None


def _open_attempts(tx: Tx, order_id: str) -> list[Row[Any]]:
    open_here = (payments.c.order_id == order_id) & payments.c.state.in_(sorted(OPEN))
    return list(tx.all(select(payments).where(open_here).order_by(payments.c.created_at)))


def _standing(tx: Tx, order_id: str) -> Answer:
    """How the payments of an order without open attempts stand."""
    state = tx.scalar(select(orders.c.state).where(orders.c.order_id == order_id))
    states = set(tx.scalars(select(payments.c.state).where(payments.c.order_id == order_id)))
    if PaymentState.SUSPENSE in states:
        return Answer.SUSPENDED
    return Answer.PAID if state == OrderState.PAID else Answer.CANCELLED

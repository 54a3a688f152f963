"""Giving money back: the effect behind `refund` rows of the outbox.

The provider is asked under a key of its own, so that a repeated effect gives nothing twice, and what it answers is settled like
any other news. Runs in a worker, outside any transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from shop.mail.effects import Effect, EffectFailed
from shop.payments.providers import Providers
from shop.payments.rules import Fact, PaymentState, ProviderRefused, ProviderUnavailable, Report
from shop.payments.settle import settle_refusal, settle_report
from shop.storage.database import Database, Tx
from shop.storage.tables import payments
from shop.vault import Vault


def refund_effect(db: Database, vault: Vault, providers: Providers) -> Effect:
    """The function that carries out one `refund`; its payload is `{"payment_id": …}` for all that is left, or
    `{"payment_id", "until", "amount", "key"}` for so much, which makes it `until` in all, as asked for under that key. Raises
    EffectFailed to be tried again."""

    def refund(payload: dict[str, Any]) -> None:
        payment = db.read(_payment, payload["payment_id"])
        if payment is None or payment.state != PaymentState.REFUND_PENDING:
            return  # it is back already
        try:
            report = _given_back(providers, payment, payload)
        except ProviderRefused as error:
            settle_refusal(db, vault, payment.payment_id)
            if payment.refund_until is None:  # the money has nowhere else to go
                raise EffectFailed(error.what) from error
            return
        settle_report(db, vault, payment.payment_id, report)

    return refund


def _given_back(providers: Providers, payment: Row[Any], payload: dict[str, Any]) -> Report:
    until = payload.get("until", payment.captured)
    left = until - payment.refunded
    if left <= 0:
        return Report(Fact.REFUNDED, payment.captured, payment.currency, payment.refunded)
    provider = providers.get(payment.provider)
    if provider is None:
        raise EffectFailed(f"there is no payment provider {payment.provider}")
    # A provider takes a key for one amount only. A part is what was asked for, whatever else came back meanwhile: it may have been
    # given, and its answer lost. All that is left is never given twice, so that its amount may follow the books.
    amount, key = payload.get("amount", left), payload.get("key", "all")
    if until >= payment.captured:
        amount, key = left, f"{key}-{left}"
    try:
        return provider.refund(payment.payment_id, payment.provider_ref, amount, key)
    except ProviderUnavailable as error:
        raise EffectFailed(error.what) from error


def _payment(tx: Tx, payment_id: str) -> Row[Any] | None:
    return tx.first(select(payments).where(payments.c.payment_id == payment_id))

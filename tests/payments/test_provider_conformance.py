"""What the shop relies on in every payment provider, asked of an adapter and whatever is behind it.

Without more it is asked of the stand-in. `PAYMENT_ADAPTER=module:function` names another: a context manager that yields a `Trial`
(see `tests/payments/trial.py` and docs/payment-adapters.md).
"""

from __future__ import annotations

import importlib
import itertools
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shop.payments.providers import MAX_CALLBACK_BYTES, Asked
from shop.payments.rules import (
    BadSignature,
    BodyTooLarge,
    Fact,
    ProviderRefused,
    Report,
    Unreadable,
)
from tests.payments.trial import APPROVE, DECLINE, Trial

GIVEN = os.environ.get("PAYMENT_ADAPTER", "")
AMOUNT = 42_000
_COUNT = itertools.count(1)


@pytest.fixture(scope="module")
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The adapter under test."""
    if not GIVEN:
        yield request.getfixturevalue("stand_in")
        return
    module, _, function = GIVEN.partition(":")
    with getattr(importlib.import_module(module), function)() as given:
        yield given


def asked(payment_id: str | None = None) -> Asked:
    return Asked(
        payment_id=payment_id or f"conf-{next(_COUNT)}-{time.time_ns()}"[:32],
        amount=AMOUNT,
        currency="KRW",
        title="달항아리 × 2",
        return_url="http://127.0.0.1:8000/pay/return/simulator?order_id=o1",
        expires_at=datetime.now(UTC) + timedelta(minutes=10),
    )


def test_a_payment_started_twice_is_one_payment(trial: Trial) -> None:
    request = asked()
    assert trial.provider.start(request) == trial.provider.start(request)


def test_a_new_payment_waits_for_the_buyer_and_is_found_with_or_without_its_provider_id(
    trial: Trial,
) -> None:
    request = asked()
    opened = trial.provider.start(request)
    waiting = Report(Fact.PENDING, AMOUNT, "KRW")
    assert trial.provider.fetch(request.payment_id, opened.provider_ref) == waiting
    assert trial.provider.fetch(request.payment_id, None) == waiting


def test_a_payment_that_the_provider_never_heard_of_is_none(trial: Trial) -> None:
    for reference in ("sim_unknown", None):
        assert trial.provider.fetch("nobody", reference) is None
        assert trial.provider.cancel("nobody", reference) is None


def test_an_open_payment_can_be_cancelled_and_then_takes_no_money(trial: Trial) -> None:
    request = asked()
    opened = trial.provider.start(request)
    for _ in range(2):
        ended = trial.provider.cancel(request.payment_id, opened.provider_ref)
        assert ended is not None
        assert ended.fact is Fact.CANCELLED
    trial.choose(opened, "approve")
    now = trial.provider.fetch(request.payment_id, None)
    assert now is not None
    assert now.fact is Fact.CANCELLED


def test_cancelling_a_paid_payment_says_that_it_is_paid(trial: Trial) -> None:
    request = asked()
    opened = trial.provider.start(request)
    trial.choose(opened, "approve")
    assert trial.provider.cancel(request.payment_id, opened.provider_ref) == Report(
        Fact.SUCCEEDED, AMOUNT, "KRW"
    )


def test_a_refund_gives_back_once_however_often_it_is_asked_for(trial: Trial) -> None:
    request = asked()
    opened = trial.provider.start(request)
    trial.choose(opened, "approve")
    back = [
        trial.provider.refund(request.payment_id, reference, AMOUNT, "all")
        for reference in (opened.provider_ref, opened.provider_ref)
    ]
    assert {report.refunded for report in back} == {AMOUNT}
    assert {report.fact for report in back} == {Fact.REFUNDED}
    after = trial.provider.fetch(request.payment_id, None)
    assert after == Report(Fact.SUCCEEDED, AMOUNT, "KRW", AMOUNT)


def test_each_key_gives_its_amount_back_once(trial: Trial) -> None:
    request = asked()
    opened = trial.provider.start(request)
    trial.choose(opened, "approve")
    back = [
        trial.provider.refund(request.payment_id, opened.provider_ref, 100, key).refunded
        for key in ("one", "one", "two", "one")
    ]
    assert (back[0], back[2]) == (100, 200)
    assert trial.provider.fetch(request.payment_id, None) == Report(Fact.SUCCEEDED, AMOUNT, "KRW", 200)


def test_more_than_was_captured_is_never_given_back(trial: Trial) -> None:
    request = asked()
    opened = trial.provider.start(request)
    trial.choose(opened, "approve")
    with pytest.raises(ProviderRefused):
        trial.provider.refund(request.payment_id, opened.provider_ref, AMOUNT + 1, "all")
    with pytest.raises(ProviderRefused):
        trial.provider.refund("nobody", None, 1, "all")


@pytest.mark.parametrize(("outcome", "fact"), [(APPROVE, Fact.SUCCEEDED), (DECLINE, Fact.FAILED)])
def test_callback_and_answer_say_the_same(trial: Trial, outcome: str, fact: Fact) -> None:
    request = asked()
    opened = trial.provider.start(request)
    trial.choose(opened, outcome)
    headers, body = trial.callback(request.payment_id)
    callback = trial.provider.read_callback(headers, body, datetime.now(UTC))
    assert callback.payment_id == request.payment_id
    assert callback.report is not None
    assert callback.report.fact is fact
    assert trial.provider.fetch(request.payment_id, None) == callback.report
    assert trial.provider.read_event(callback.event_id, body) == callback, "kept, it reads the same"


def test_forged_stale_and_torn_callbacks_end_in_the_named_refusals(trial: Trial) -> None:
    request = asked()
    trial.choose(trial.provider.start(request), APPROVE)
    headers, body = trial.callback(request.payment_id)
    now, read = datetime.now(UTC), trial.provider.read_callback
    changed = bytes([body[len(body) // 2] ^ 1])
    forgeries = [
        body[: len(body) // 2] + changed + body[len(body) // 2 + 1 :],
        body[:-1],
        body + b" ",
        b"",
        b"\xff",
    ]
    for forged in forgeries:
        with pytest.raises(BadSignature):
            read(headers, forged, now)
    for without in ({}, *(dict.fromkeys(headers, ""),), dict.fromkeys(headers, "é" * 99)):
        with pytest.raises(BadSignature):
            read(without, body, now)
    for other_time in (now - timedelta(days=1), now + timedelta(days=1)):
        with pytest.raises(BadSignature):
            read(headers, body, other_time)
    with pytest.raises(BodyTooLarge):
        read(headers, b"x" * (MAX_CALLBACK_BYTES + 1), now)
    for torn in (b"", b"{", b"null", b"[" * 16_000, b"\xff\xfe", body[: len(body) // 2]):
        with pytest.raises(Unreadable):
            trial.provider.read_event("evt", torn)

"""Starting a payment, hearing how it ended and giving money back: shop, database and the provider's real process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select

from shop.errors import IllegalMove
from shop.mail.effects import deliver_due
from shop.orders.cancel import cancel_effect, cancel_order
from shop.orders.expire import expire_due
from shop.orders.late import refuse_without_lane
from shop.orders.rules import OrderState, UnknownOrder
from shop.payments.ask import Answer, ask_provider, look_again
from shop.payments.providers import Providers
from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.refund import refund_effect
from shop.payments.rules import (
    KeyReused,
    ProviderRefused,
    ProviderUnavailable,
    StillRunning,
    UnderReview,
    UnknownProvider,
    Verdict,
)
from shop.payments.settle import receive
from shop.payments.start import Start, Started, start_payment
from shop.storage.database import Database
from shop.storage.tables import payments
from tests.payments.simulator_process import Shop, Simulator, Taken, press
from tests.till import API_KEY, BUYER, SECRET, TOTAL, UNITS, VAULT, Till, provider_at

RETURN = "http://127.0.0.1:8000/pay/return"


@pytest.fixture
def providers(provider: SimulatorProvider) -> Providers:
    return {"simulator": provider}


@pytest.fixture
def till(db: Database, provider: SimulatorProvider, shop: Shop) -> Till:
    """The shop, which takes the callbacks of the provider's process."""
    till = Till(db, provider).open()

    def take(taken: Taken) -> int:
        receive(db, VAULT, provider, taken.headers, taken.body, now=datetime.now(UTC))
        return 200

    shop.answer = take
    return till


def wish(order: str, key: str = "key-1") -> Start:
    return Start(order, BUYER, (f"{order}:{key}",), "hash", RETURN)


def start(till: Till, order: str, key: str = "key-1") -> Started:
    return start_payment(till.db, VAULT, {"simulator": till.provider}, wish(order, key))


def attempts(till: Till, order: str) -> int:
    mine = select(func.count()).select_from(payments).where(payments.c.order_id == order)
    return int(till.db.read(lambda tx: tx.scalar(mine)))


def carry_out(till: Till, providers: Providers) -> int:
    """What the worker of the outbox does."""
    effects = {
        "refund": refund_effect(till.db, VAULT, providers),
        "cancel": cancel_effect(till.db, VAULT, providers),
    }
    return deliver_due(till.db, VAULT, effects)


# ---------------------------------------------------------------- starting


def test_a_started_payment_has_a_page_and_an_end_and_its_order_is_paying(till: Till) -> None:
    order = till.order()
    started = start(till, order)
    assert started.replayed is False
    assert till.states(order) == ("paying", ["pending"])
    assert till.payment(started.payment_id).amount == TOTAL
    page = httpx.get(started.checkout_url, trust_env=False).text
    assert "₩42,000" in page
    assert "달항아리 Moon jar × 2" in page
    assert started.expires_at == till.order_row(order).hold_expires_at


def test_the_same_request_gets_the_same_answer_and_another_under_its_key_is_refused(till: Till) -> None:
    order = till.order()
    first, again = start(till, order), start(till, order)
    assert again == replace(first, replayed=True)
    other = replace(wish(order), request_hash="another")
    with pytest.raises(KeyReused):
        start_payment(till.db, VAULT, {"simulator": till.provider}, other)


def test_a_second_start_while_an_attempt_is_open_returns_that_attempt(till: Till) -> None:
    order = till.order()
    first, second = start(till, order, "key-1"), start(till, order, "key-2")
    assert (first.payment_id, first.checkout_url) == (second.payment_id, second.checkout_url)
    assert attempts(till, order) == 1


def test_after_a_decline_another_start_opens_another_attempt(till: Till, shop: Shop) -> None:
    order = till.order()
    first = start(till, order)
    press(first.checkout_url, "decline")
    shop.wait_for(first.payment_id, 1)
    second = start(till, order, "key-2")
    assert second.payment_id != first.payment_id
    press(second.checkout_url, "approve")
    shop.wait_for(second.payment_id, 1)
    assert till.order_row(order).state == "paid"
    till.assert_money_and_stock_agree()


def test_a_crowd_of_starts_opens_one_payment(till: Till) -> None:
    order = till.order()
    gate = threading.Barrier(6)
    waits: list[int] = []

    def one(number: int) -> str:
        gate.wait()
        try:
            return start(till, order, f"key-{number}").payment_id
        except StillRunning as running:
            waits.append(running.retry_after_s)
            return "running"

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(one, range(6))) - {"running"}
    assert len(answers) == 1
    assert all(1 <= wait <= 30 for wait in waits)
    assert attempts(till, order) == 1


def test_while_the_first_start_runs_others_are_told_to_wait_and_its_lease_ends(till: Till) -> None:
    order = till.order()
    payment = till.begin(order, running=True)
    with pytest.raises(StillRunning):
        start(till, order)
    till.set_lease(payment, timedelta(seconds=-1))
    assert start(till, order).payment_id == payment
    assert till.states(order) == ("paying", ["pending"])


def test_a_provider_that_is_away_is_said_so_and_the_same_key_continues(till: Till) -> None:
    order = till.order()
    with pytest.raises(ProviderUnavailable):
        start_payment(till.db, VAULT, {"simulator": provider_at()}, wish(order))
    assert till.states(order) == ("paying", ["created"])
    assert start(till, order).replayed is False
    assert attempts(till, order) == 1


def test_a_provider_that_refuses_ends_the_attempt_and_the_order_may_pay_again(
    till: Till, simulator: Simulator
) -> None:
    order = till.order()
    stranger = SimulatorProvider(simulator.url, "another-key", [SECRET])
    with pytest.raises(ProviderRefused):
        start_payment(till.db, VAULT, {"simulator": stranger}, wish(order))
    stranger.close()
    assert till.states(order) == ("reserved", ["failed"])
    assert start(till, order).payment_id
    assert attempts(till, order) == 2


@pytest.mark.parametrize("state", [OrderState.EXPIRED, OrderState.CANCELLED])
def test_an_order_that_ended_cannot_be_paid(till: Till, state: OrderState) -> None:
    order = till.order()
    till.end(order, state)
    with pytest.raises(IllegalMove, match=f"order cannot move from {state} to paying"):
        start(till, order)


def test_an_order_whose_hold_is_over_cannot_be_paid_even_before_the_sweep(till: Till) -> None:
    order = till.order(hold_s=-1)
    with pytest.raises(IllegalMove, match="from expired to paying"):
        start(till, order)


def test_nobody_pays_while_money_of_another_amount_is_looked_at(till: Till, shop: Shop) -> None:
    order = till.order()
    started = start(till, order)
    press(started.checkout_url, "wrong_amount")
    shop.wait_for(started.payment_id, 1)
    with pytest.raises(UnderReview):
        start(till, order, "key-2")


def test_others_orders_and_unknown_providers_are_unknown(till: Till) -> None:
    order = till.order()
    with pytest.raises(UnknownOrder):
        start_payment(till.db, VAULT, {"simulator": till.provider}, replace(wish(order), account_id="thief"))
    with pytest.raises(UnknownProvider):
        start_payment(till.db, VAULT, {"simulator": till.provider}, replace(wish(order), provider="bitcoin"))
    assert till.states(order) == ("reserved", [])


def test_starting_guarantees_three_minutes_once(till: Till, shop: Shop) -> None:
    order = till.order(hold_s=20)
    first = start(till, order)
    left = (first.expires_at - datetime.now(UTC)).total_seconds()
    assert 170 < left <= 181
    press(first.checkout_url, "decline")
    shop.wait_for(first.payment_id, 1)
    second = start(till, order, "key-2")
    assert second.expires_at == first.expires_at


def test_an_attempt_that_was_ended_while_the_provider_was_called_hands_out_no_page(
    till: Till, simulator: Simulator
) -> None:
    order = till.order()

    class Ending(SimulatorProvider):
        def start(self, asked):  # type: ignore[no-untyped-def]
            opened = super().start(asked)
            till.hear("cancelled", asked.payment_id)
            return opened

    meanwhile = Ending(simulator.url, API_KEY, [SECRET])
    with pytest.raises(IllegalMove, match="payment cannot move from cancelled to pending"):
        start_payment(till.db, VAULT, {"simulator": meanwhile}, wish(order))
    meanwhile.close()
    mine = select(payments.c.payment_id).where(payments.c.order_id == order)
    report = till.provider.fetch(till.db.read(lambda tx: tx.scalar(mine)), None)
    assert report is not None
    assert report.fact == "cancelled"


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("outcome", "callbacks", "ends"),
    [
        ("approve", 1, ("paid", ["succeeded"])),
        ("decline", 1, ("reserved", ["failed"])),
        ("slow", 2, ("paid", ["succeeded"])),
        ("duplicate", 3, ("paid", ["succeeded"])),
        ("reordered", 3, ("paid", ["succeeded"])),
        ("wrong_amount", 1, ("paying", ["suspense"])),
    ],
)
def test_each_outcome_of_the_pay_page_ends_rightly(
    till: Till, shop: Shop, outcome: str, callbacks: int, ends: tuple[str, list[str]]
) -> None:
    order = till.order()
    started = start(till, order)
    press(started.checkout_url, outcome)
    shop.wait_for(started.payment_id, callbacks)
    assert till.states(order) == ends
    till.assert_money_and_stock_agree()


def test_a_buyer_who_comes_back_before_the_callback_sees_the_payment(
    till: Till, providers: Providers
) -> None:
    order = till.order()
    started = start(till, order)
    assert [each.verdict for each in look_again(till.db, VAULT, providers, order)] == [Verdict.REPEATED]
    press(started.checkout_url, "silent")
    (settled,) = look_again(till.db, VAULT, providers, order)
    assert (settled.verdict, len(settled.ended)) == (Verdict.PAID, 1)
    assert till.states(order) == ("paid", ["succeeded"])


def test_the_sweep_hears_of_silent_money_and_lets_the_order_be_paid(till: Till, providers: Providers) -> None:
    order = till.order()
    press(start(till, order).checkout_url, "silent")
    till.let_hold_run_out(order)
    swept = expire_due(till.db, VAULT, providers)
    assert [end.outcome for end in swept.ended] == ["paid"]
    assert till.states(order) == ("paid", ["succeeded"])
    till.assert_money_and_stock_agree()


def test_the_sweep_ends_an_open_attempt_at_the_provider_before_it_frees_the_units(
    till: Till, providers: Providers
) -> None:
    order = till.order()
    started = start(till, order)
    till.let_hold_run_out(order)
    expire_due(till.db, VAULT, providers)
    assert till.states(order) == ("expired", ["cancelled"])
    report = till.provider.fetch(started.payment_id, None)
    assert report is not None
    assert report.fact == "cancelled"
    till.assert_money_and_stock_agree()


def test_late_money_is_given_back_at_the_provider_exactly_once(
    till: Till, providers: Providers, shop: Shop
) -> None:
    order = till.order()
    started = start(till, order)
    press(started.checkout_url, "late")
    till.let_hold_run_out(order)
    shop.wait_for(started.payment_id, 1)
    expire_due(till.db, VAULT, providers)
    shop.wait_for(started.payment_id, 3)
    assert till.states(order) == ("expired", ["succeeded"])
    assert refuse_without_lane(till.db, VAULT, started.payment_id)
    assert not refuse_without_lane(till.db, VAULT, started.payment_id)
    assert carry_out(till, providers) == 1
    refund_effect(till.db, VAULT, providers)({"payment_id": started.payment_id})
    assert till.states(order) == ("expired", ["refunded"])
    report = till.provider.fetch(started.payment_id, None)
    assert report is not None
    assert (report.amount, report.refunded) == (TOTAL, TOTAL)
    shop.wait_for(started.payment_id, 4)
    assert till.states(order) == ("expired", ["refunded"])
    till.assert_money_and_stock_agree()


def test_a_refund_waits_for_a_provider_that_is_away(till: Till, providers: Providers, shop: Shop) -> None:
    order = till.order()
    started = start(till, order)
    till.hear("cancelled", started.payment_id)
    till.end(order, OrderState.CANCELLED)
    till.hear("succeeded", started.payment_id)
    assert carry_out(till, {"simulator": provider_at()}) == 0
    assert till.states(order) == ("cancelled", ["refund_pending"])


def test_cancelling_a_paying_order_ends_it_at_the_provider_first(till: Till, providers: Providers) -> None:
    order = till.order()
    started = start(till, order)
    assert cancel_order(till.db, VAULT, BUYER, order).asking is True
    assert till.order_row(order).state == "paying"
    assert carry_out(till, providers) == 1
    assert till.states(order) == ("cancelled", ["cancelled"])
    assert till.stock() == (0, 0)
    page = httpx.get(started.checkout_url, trust_env=False).text
    assert "cancelled" in page
    till.assert_money_and_stock_agree()


def test_cancelling_an_order_that_is_paid_at_that_moment_leaves_it_paid(
    till: Till, providers: Providers
) -> None:
    order = till.order()
    press(start(till, order).checkout_url, "silent")
    assert cancel_order(till.db, VAULT, BUYER, order).asking is True
    assert carry_out(till, providers) == 1
    assert till.states(order) == ("paid", ["succeeded"])
    assert till.stock() == (0, UNITS)


def test_asking_has_an_answer_for_every_standing(till: Till, providers: Providers, shop: Shop) -> None:
    never_started = till.order()
    assert ask_provider(till.db, VAULT, providers, never_started).answer is Answer.CANCELLED
    starting = till.order()
    payment = till.begin(starting, running=True)
    assert ask_provider(till.db, VAULT, providers, starting).answer is Answer.UNREACHABLE
    till.set_lease(payment, timedelta(seconds=-1))
    assert ask_provider(till.db, VAULT, providers, starting).answer is Answer.CANCELLED
    assert till.states(starting) == ("reserved", ["cancelled"])
    odd = till.order()
    started = start(till, odd)
    press(started.checkout_url, "wrong_amount")
    shop.wait_for(started.payment_id, 1)
    assert ask_provider(till.db, VAULT, providers, odd).answer is Answer.SUSPENDED
    paid = till.order()
    press(start(till, paid).checkout_url, "silent")
    assert ask_provider(till.db, VAULT, {"simulator": provider_at()}, paid).answer is Answer.UNREACHABLE
    assert ask_provider(till.db, VAULT, {}, paid).answer is Answer.UNREACHABLE
    assert ask_provider(till.db, VAULT, providers, paid).answer is Answer.PAID
    till.assert_money_and_stock_agree()

"""L7: a captured payment ends as a paid order with its stock, or as a refund. Never both, never neither.

Genuine, duplicated, reordered, late, forged and mismatched callbacks, on every kind of database.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from shop.errors import Unavailable
from shop.orders.late import late_entries
from shop.orders.rules import OrderOutcome, OrderState
from shop.payments.apply import Settled
from shop.payments.rules import BadSignature, Unreadable, Verdict
from shop.payments.settle import give_back_suspended, receive, retry_unknown
from shop.payments.webhooks import read_secrets, sign
from shop.storage.database import Database
from shop.storage.tables import payments, sale_items
from tests.till import SECRET, TOTAL, UNITS, VAULT, Till


@pytest.fixture
def till(db: Database) -> Till:
    return Till(db).open()


# ---------------------------------------------------------------- the table, row by row


def test_success_pays_the_order_and_sells_its_units(till: Till) -> None:
    order = till.order()
    settled = till.send(till.event("succeeded", till.open_attempt(order)))
    assert settled.verdict is Verdict.PAID
    assert [(end.order_id, end.outcome) for end in settled.ended] == [(order, OrderOutcome.PAID)]
    assert till.states(order) == ("paid", ["succeeded"])
    assert till.stock() == (0, UNITS)
    till.assert_money_and_stock_agree()


def test_success_before_the_provider_has_answered_the_start_counts_too(till: Till) -> None:
    order = till.order()
    assert till.hear("succeeded", till.begin(order)) is Verdict.PAID
    assert till.states(order) == ("paid", ["succeeded"])


def test_the_same_event_and_another_event_for_the_same_fact_change_nothing(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    assert till.hear("succeeded", payment, "evt-a") is Verdict.PAID
    before = till.payment(payment)
    assert till.hear("succeeded", payment, "evt-a") is Verdict.REPEATED
    assert till.hear("succeeded", payment, "evt-b") is Verdict.REPEATED
    assert till.payment(payment).captured == before.captured
    assert till.inbox() == ["paid", "repeated"]
    assert till.stock() == (0, UNITS)


def test_a_failure_in_time_keeps_the_hold_and_lets_the_buyer_try_again(till: Till) -> None:
    order = till.order()
    assert till.hear("failed", till.open_attempt(order)) is Verdict.FAILED
    assert till.states(order) == ("reserved", ["failed"])
    assert till.stock() == (UNITS, 0)
    assert till.hear("succeeded", till.open_attempt(order)) is Verdict.PAID
    assert till.stock() == (0, UNITS)
    till.assert_money_and_stock_agree()


def test_a_failure_after_the_hold_frees_the_units_and_the_slot(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.let_hold_run_out(order)
    settled = till.send(till.event("failed", payment))
    assert [end.outcome for end in settled.ended] == [OrderOutcome.ENDED]
    assert till.states(order) == ("expired", ["failed"])
    assert till.stock() == (0, 0)
    till.assert_money_and_stock_agree()


def test_pending_is_noted_once_and_only_from_created(till: Till) -> None:
    order = till.order()
    payment = till.begin(order)
    assert till.hear("pending", payment) is Verdict.PENDING
    assert till.hear("pending", payment) is Verdict.REPEATED
    till.hear("failed", payment)
    assert till.hear("pending", payment) is Verdict.STALE
    assert till.states(order) == ("reserved", ["failed"])


@pytest.mark.parametrize("late", ["failed", "pending", "cancelled"])
def test_bad_news_after_the_good_is_stale(till: Till, late: str) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("succeeded", payment)
    assert till.hear(late, payment) is Verdict.STALE
    assert till.states(order) == ("paid", ["succeeded"])
    assert till.stock() == (0, UNITS)


def test_success_after_failure_pays_while_the_hold_stands(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("failed", payment)
    assert till.hear("succeeded", payment) is Verdict.PAID
    assert till.states(order) == ("paid", ["succeeded"])
    till.assert_money_and_stock_agree()


@pytest.mark.parametrize(
    "odd", [{"amount": TOTAL - 1}, {"amount": TOTAL + 1}, {"amount": 0}, {"currency": "USD"}]
)
def test_another_amount_or_currency_never_pays(till: Till, odd: dict[str, Any]) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    assert till.hear("succeeded", payment, **odd) is Verdict.SUSPENDED
    assert till.hear("succeeded", payment) is Verdict.REPEATED
    assert till.states(order) == ("paying", ["suspense"])
    assert till.order_row(order).review_reason == (
        "currency_mismatch" if "currency" in odd else "amount_mismatch"
    )
    assert till.stock() == (UNITS, 0)


def test_suspended_money_goes_back_after_a_day_and_the_units_are_free(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("succeeded", payment, amount=TOTAL - 1)
    till.let_hold_run_out(order)
    assert give_back_suspended(till.db, VAULT) == []
    yesterday = datetime.now(UTC) - timedelta(hours=24, seconds=1)
    this = payments.c.payment_id == payment
    till.db.run(lambda tx: tx.execute(update(payments).where(this).values(updated_at=yesterday)) and None)
    (given,) = give_back_suspended(till.db, VAULT)
    assert [end.outcome for end in given.ended] == [OrderOutcome.ENDED]
    assert till.states(order) == ("expired", ["refund_pending"])
    assert (till.refunds(), till.stock()) == ([payment], (0, 0))
    assert give_back_suspended(till.db, VAULT) == []
    till.assert_money_and_stock_agree()


def test_success_after_expiry_waits_for_its_turn_in_the_lane(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("failed", payment)
    till.end(order, OrderState.EXPIRED)
    assert till.hear("succeeded", payment) is Verdict.LATE
    assert till.states(order) == ("expired", ["succeeded"])
    assert [(entry.order_id, entry.late) for entry in late_entries(till.db)] == [(order, payment)]
    assert (till.refunds(), till.stock()) == ([], (0, 0))
    till.assert_money_and_stock_agree()


def test_success_after_cancel_sends_the_money_back(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("cancelled", payment)
    till.end(order, OrderState.CANCELLED)
    assert till.hear("succeeded", payment) is Verdict.REFUND_DUE
    assert till.states(order) == ("cancelled", ["refund_pending"])
    assert till.refunds() == [payment]
    till.assert_money_and_stock_agree()


def test_of_two_paid_attempts_the_second_goes_back_and_its_refund_leaves_the_order_paid(till: Till) -> None:
    order = till.order()
    first = till.open_attempt(order)
    till.hear("failed", first)
    second = till.open_attempt(order)
    assert till.hear("succeeded", first) is Verdict.PAID
    assert till.hear("succeeded", second) is Verdict.REFUND_DUE
    assert till.refunds() == [second]
    till.assert_money_and_stock_agree()
    assert till.hear("refunded", second, refunded=TOTAL) is Verdict.REFUNDED
    assert till.order_row(order).state == "paid"
    assert till.stock() == (0, UNITS)
    till.assert_money_and_stock_agree()


def test_refunds_add_up_and_the_last_one_frees_the_units_once(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("succeeded", payment)
    assert till.hear("refunded", payment, refunded=1_000) is Verdict.PARTIALLY_REFUNDED
    assert till.states(order) == ("paid", ["partially_refunded"])
    assert till.stock() == (0, UNITS)
    assert till.hear("refunded", payment, refunded=TOTAL) is Verdict.REFUNDED
    assert till.hear("refunded", payment, refunded=1_000) is Verdict.REPEATED
    assert till.hear("refunded", payment, refunded=TOTAL) is Verdict.REPEATED
    assert till.states(order) == ("refunded", ["refunded"])
    assert till.stock() == (0, 0)
    till.assert_money_and_stock_agree()


def test_odd_refunds_wait_for_the_operator_and_move_no_stock(till: Till) -> None:
    sent, above, unpaid = till.order(), till.order(), till.order()
    for order, kind in ((sent, "outside"), (above, "above"), (unpaid, "unpaid")):
        payment = till.open_attempt(order)
        if kind != "unpaid":
            till.hear("succeeded", payment)
        if kind == "outside":
            till.set_state(order, OrderState.FULFILLING)
        held_and_sold = till.stock()
        back = TOTAL + 1 if kind == "above" else TOTAL
        assert till.hear("refunded", payment, refunded=back) is Verdict.REVIEW
        assert till.stock() == held_and_sold
    reasons = [till.order_row(order).review_reason for order in (sent, above, unpaid)]
    assert reasons == ["refund_outside", "refund_above_paid", "refund_of_unpaid"]
    assert [till.order_row(order).state for order in (sent, above, unpaid)] == [
        "fulfilling",
        "paid",
        "paying",
    ]


def test_a_genuine_event_of_an_unknown_type_is_recorded(till: Till) -> None:
    body = '{"type": "payout.created", "data": {"글": "돈 😀"}}'.encode()
    assert till.send(body, "evt-x").verdict is Verdict.RECORDED
    assert till.send(body, "evt-x").verdict is Verdict.REPEATED
    assert till.inbox() == ["recorded"]


def test_a_callback_for_an_unknown_payment_is_kept_and_settled_once_the_payment_is_known(till: Till) -> None:
    order = till.order()
    body = till.event("succeeded", "pay-later")
    for _ in range(2):
        assert till.send(body, "evt-early").verdict is Verdict.UNKNOWN_PAYMENT
    assert retry_unknown(till.db, VAULT, {"simulator": till.provider}) == []
    payment = till.open_attempt(order)
    renamed = update(payments).where(payments.c.payment_id == payment).values(payment_id="pay-later")
    till.db.run(lambda tx: tx.execute(renamed) and None)
    (settled,) = retry_unknown(till.db, VAULT, {"simulator": till.provider})
    assert settled.verdict is Verdict.PAID
    assert till.inbox() == ["paid"]
    assert till.send(body, "evt-early").verdict is Verdict.REPEATED
    till.assert_money_and_stock_agree()


def test_forged_stale_and_unreadable_callbacks_leave_no_trace(till: Till) -> None:
    order = till.order()
    body = till.event("succeeded", till.open_attempt(order))
    now = datetime.now(UTC)
    at, keys = int(now.timestamp()), read_secrets([SECRET])
    forged = sign("evt-1", at, body, [bytes(32)])
    recorded = sign("evt-1", at - 301, body, keys)
    other_body = sign("evt-1", at, body.replace(b"42000", b"1"), keys)
    for headers in (forged, recorded, other_body, {}):
        with pytest.raises(BadSignature):
            receive(till.db, VAULT, till.provider, headers, body, now=now)
    with pytest.raises(Unreadable):
        receive(till.db, VAULT, till.provider, sign("evt-1", at, b"{", keys), b"{", now=now)
    assert till.inbox() == []
    assert till.states(order) == ("paying", ["pending"])


def test_what_the_database_refuses_is_rolled_back_whole_and_works_when_sent_again(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    this = sale_items.c.sale_item_id == till.item
    till.db.run(lambda tx: tx.execute(update(sale_items).where(this).values(held=0)) and None)
    with pytest.raises(Unavailable):
        till.hear("succeeded", payment, "evt-1")
    assert (till.inbox(), till.states(order)) == ([], ("paying", ["pending"]))
    till.db.run(lambda tx: tx.execute(update(sale_items).where(this).values(held=UNITS)) and None)
    assert till.hear("succeeded", payment, "evt-1") is Verdict.PAID
    till.assert_money_and_stock_agree()


# ---------------------------------------------------------------- at the same time


def together(*calls: Callable[[], Settled]) -> list[Settled]:
    """Run them in threads that start at the same moment."""
    gate = threading.Barrier(len(calls))

    def one(call: Callable[[], Settled]) -> Settled:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def test_one_event_delivered_many_times_at_once_has_one_effect(till: Till) -> None:
    order = till.order()
    body = till.event("succeeded", till.open_attempt(order))
    settled = together(*[lambda: till.send(body, "evt-1")] * 8)
    assert sorted(each.verdict for each in settled) == ["paid"] + ["repeated"] * 7
    assert sum(len(each.ended) for each in settled) == 1
    assert (till.inbox(), till.stock()) == (["paid"], (0, UNITS))
    till.assert_money_and_stock_agree()


def test_an_unknown_payment_told_of_many_times_at_once_is_kept_once(till: Till) -> None:
    body = till.event("succeeded", "pay-nobody-knows")
    settled = together(*[lambda: till.send(body, "evt-1")] * 6)
    assert {each.verdict for each in settled} == {Verdict.UNKNOWN_PAYMENT}
    assert till.inbox() == ["unknown_payment"]


def test_one_fact_under_many_event_ids_at_once_has_one_effect(till: Till) -> None:
    order = till.order()
    body = till.event("succeeded", till.open_attempt(order))
    settled = together(*[lambda: till.send(body)] * 8)
    assert sorted(each.verdict for each in settled) == ["paid"] + ["repeated"] * 7
    assert till.stock() == (0, UNITS)


def test_contradicting_news_at_once_agrees_on_the_highest_rank(till: Till) -> None:
    for _ in range(4):
        order = till.order()
        payment = till.open_attempt(order)
        bodies = [till.event(kind, payment) for kind in ("succeeded", "failed", "pending", "cancelled")]
        together(*[lambda body=body: till.send(body) for body in bodies])
        assert till.states(order) == ("paid", ["succeeded"])
    till.assert_money_and_stock_agree()


def test_a_payment_and_the_end_of_its_order_at_once_give_either_the_goods_or_the_money(till: Till) -> None:
    for _ in range(6):
        order = till.order()
        payment = till.open_attempt(order)
        till.let_hold_run_out(order)
        bodies = [till.event("succeeded", payment), till.event("failed", payment)]
        together(*[lambda body=body: till.send(body) for body in bodies])
        assert till.states(order) in (("paid", ["succeeded"]), ("expired", ["succeeded"]))
    till.assert_money_and_stock_agree()


def test_a_crowd_of_orders_settled_at_once_sells_every_unit_once(till: Till) -> None:
    made = [till.order() for _ in range(10)]
    bodies = [till.event("succeeded", till.open_attempt(order)) for order in made]
    deliveries = [(body, f"evt-{number}") for number, body in enumerate(bodies)] * 3
    random.Random(7).shuffle(deliveries)
    with ThreadPoolExecutor(6) as pool:
        settled = list(pool.map(lambda delivery: till.send(*delivery), deliveries))
    assert sum(each.verdict is Verdict.PAID for each in settled) == len(made)
    assert till.stock() == (0, UNITS * len(made))
    till.assert_money_and_stock_agree()


# ---------------------------------------------------------------- any history

news = st.one_of(
    st.tuples(st.sampled_from(["succeeded", "failed", "pending", "cancelled"]), st.just(0)),
    st.tuples(st.just("refunded"), st.sampled_from([1, TOTAL - 1, TOTAL])),
    st.tuples(st.just("succeeded"), st.sampled_from([TOTAL - 1])),
    st.tuples(st.sampled_from(["hold over", "try again", "expire", "same again"]), st.just(0)),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1), news), max_size=9))
def test_money_and_stock_agree_after_every_step_of_any_history(
    till: Till, history: list[tuple[int, tuple[str, int]]]
) -> None:
    order = till.order()
    attempts = [till.open_attempt(order)]
    last = None
    for which, (what, number) in history:
        payment = attempts[which % len(attempts)]
        state, states = till.states(order)
        match what:
            case "hold over":
                till.let_hold_run_out(order)
            case "try again":
                if state == "reserved" and "suspense" not in states and not _hold_is_over(till, order):
                    attempts.append(till.open_attempt(order))
            case "expire":
                if state == "reserved" and "suspense" not in states:
                    till.end(order, OrderState.EXPIRED)
            case "same again":
                if last is not None:
                    assert till.send(*last).verdict is Verdict.REPEATED
            case "refunded":
                last = till.event("refunded", payment, refunded=number), f"evt-{order}-{len(till.inbox())}"
                till.send(*last)
            case kind:
                amount = number or TOTAL
                last = till.event(kind, payment, amount=amount), f"evt-{order}-{len(till.inbox())}"
                till.send(*last)
        till.assert_money_and_stock_agree()


def _hold_is_over(till: Till, order: str) -> bool:
    return bool(till.order_row(order).hold_expires_at <= datetime.now(UTC))

"""L7: money that the shop gives back goes back once, and its units are free once; what waits for a look is settled by a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from shop.errors import IllegalMove, InvalidFields
from shop.mail.effects import deliver_due
from shop.orders.expire import ask_again, expire_due
from shop.orders.fulfil import GoodsAction, move_goods, request_return
from shop.orders.late import late_entries
from shop.orders.rules import OrderState, UnknownOrder
from shop.orders.story import read_story
from shop.payments.asked_refund import RefundWish, ask_refund
from shop.payments.refund import refund_effect
from shop.payments.review import ReviewStep, settle_review
from shop.payments.rules import (
    Fact,
    ProviderRefused,
    ProviderUnavailable,
    Report,
    StaleRefund,
    Verdict,
)
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from shop.storage.tables import audit, orders, outbox
from tests.till import API_KEY, BUYER, SECRET, TOTAL, UNITS, VAULT, Paper, Till


class Bank(Paper):
    """Gives money back as a provider does: each key once and for one amount. `refuses` and `silent` say how it answers."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", API_KEY, [SECRET])
        self.given: dict[tuple[str, str], int] = {}
        self.asked: dict[tuple[str, str], int] = {}
        self.refuses = self.silent = False

    def refund(self, payment_id: str, provider_ref: str | None, amount: int, key: str) -> Report:
        assert provider_ref == f"ref-{payment_id}"
        if self.refuses or self.asked.setdefault((payment_id, key), amount) != amount:
            raise ProviderRefused("no")
        self.given.setdefault((payment_id, key), amount)
        if self.silent:
            raise ProviderUnavailable("the answer is lost")
        return Report(Fact.REFUNDED, TOTAL, "KRW", self.back(payment_id))

    def back(self, payment_id: str) -> int:
        return sum(amount for (paid, _), amount in self.given.items() if paid == payment_id)


@pytest.fixture
def till(db: Database) -> Till:
    return Till(db).open()


@pytest.fixture
def bank() -> Bank:
    return Bank()


def paid(till: Till) -> tuple[str, str]:
    order = till.order()
    payment = till.open_attempt(order)
    till.hear("succeeded", payment)
    return order, payment


def ask(till: Till, order: str, **wish: Any) -> None:
    ask_refund(till.db, VAULT, "op", RefundWish(order, "the buyer called", **wish))


def carry_out(till: Till, bank: Bank) -> None:
    """Every refund that stands in the outbox; one that failed before is due at once."""
    at_once = update(outbox).where(outbox.c.done_at.is_(None))
    till.db.run(lambda tx: tx.execute(at_once.values(due_at=tx.now)) and None)
    effect = refund_effect(till.db, VAULT, {"simulator": bank})
    deliver_due(till.db, VAULT, {"refund": effect})


def audited(till: Till) -> list[tuple[str, dict[str, Any]]]:
    rows = till.db.read(lambda tx: tx.all(select(audit).order_by(audit.c.audit_id)))
    return [(row.action, row.detail) for row in rows]


def test_a_whole_refund_gives_the_money_and_the_units_back_once(till: Till, bank: Bank) -> None:
    order, payment = paid(till)
    for _ in range(2):
        ask(till, order)
    assert till.states(order) == ("refunding", ["refund_pending"])
    assert till.stock() == (0, UNITS), "the units stay sold until the money is back"
    carry_out(till, bank)
    assert till.states(order) == ("refunded", ["refunded"])
    assert (bank.back(payment), till.stock()) == (TOTAL, (0, 0))
    ask(till, order)
    assert till.hear("refunded", payment, refunded=TOTAL) is Verdict.REPEATED
    assert till.stock() == (0, 0)
    assert audited(till) == [("refund", {"amount": TOTAL, "currency": "KRW", "reason": "the buyer called"})]
    till.assert_money_and_stock_agree()


def test_parts_add_up_and_the_last_one_ends_the_order(till: Till, bank: Bank) -> None:
    order, payment = paid(till)
    for _ in range(2):  # the same amount twice is two refunds
        ask(till, order, amount=1_000)
        with pytest.raises(IllegalMove, match="refund_pending"):
            ask(till, order, amount=1_000)
        carry_out(till, bank)
    assert till.states(order) == ("paid", ["partially_refunded"])
    assert (till.payment(payment).refunded, bank.back(payment), till.stock()) == (2_000, 2_000, (0, UNITS))
    with pytest.raises(StaleRefund):
        ask(till, order, amount=1_000, was=1_000)
    with pytest.raises(InvalidFields):
        ask(till, order, amount=TOTAL - 1_999)
    till.assert_money_and_stock_agree()
    ask(till, order, amount=TOTAL - 2_000, was=2_000)
    carry_out(till, bank)
    assert till.states(order) == ("refunded", ["refunded"])
    assert (bank.back(payment), till.stock()) == (TOTAL, (0, 0))
    till.assert_money_and_stock_agree()


def test_a_refund_whose_answer_was_lost_is_not_given_twice(till: Till, bank: Bank) -> None:
    order, payment = paid(till)
    ask(till, order, amount=1_000)
    bank.silent = True
    carry_out(till, bank)
    assert till.states(order) == ("paid", ["refund_pending"])
    bank.silent = False
    carry_out(till, bank)
    assert till.hear("refunded", payment, refunded=1_000) is Verdict.REPEATED
    assert (bank.back(payment), till.states(order)) == (1_000, ("paid", ["partially_refunded"]))
    till.assert_money_and_stock_agree()


def test_a_key_stands_for_one_amount_whatever_comes_back_meanwhile(till: Till, bank: Bank) -> None:
    """A part that was given, its answer lost, is not asked for as another amount; all that is left follows the books."""
    (part, first), (whole, second) = paid(till), paid(till)
    ask(till, part, amount=1_000)
    ask(till, whole)
    bank.silent = True
    carry_out(till, bank)
    bank.given = {
        asked: amount for asked, amount in bank.given.items() if asked[0] == first
    }  # the other was not given
    for payment in (first, second):
        till.hear("refunded", payment, refunded=300)  # somebody gave it back at the provider
    bank.silent = False
    carry_out(till, bank)
    assert (bank.back(first), bank.back(second)) == (1_000, TOTAL - 300)
    assert [till.order_row(order).review_reason for order in (part, whole)] == [None, None]


@pytest.mark.parametrize("amount", [None, 500])
def test_a_refund_that_the_provider_refuses_is_off_and_can_be_asked_for_again(
    till: Till, bank: Bank, amount: int | None
) -> None:
    order, payment = paid(till)
    ask(till, order, amount=amount)
    bank.refuses = True
    carry_out(till, bank)
    assert till.states(order) == ("paid", ["succeeded"])
    assert till.order_row(order).review_reason == "refund_refused"
    till.assert_money_and_stock_agree()
    bank.refuses = False
    ask(till, order, amount=amount)
    carry_out(till, bank)
    assert bank.back(payment) == (amount or TOTAL)
    till.assert_money_and_stock_agree()


def test_what_cannot_be_given_back_is_refused_naming_both_states(till: Till) -> None:
    order = till.order()
    with pytest.raises(IllegalMove, match="order cannot move from reserved to refunding"):
        ask(till, order)
    with pytest.raises(UnknownOrder):
        ask(till, "nobody")
    with pytest.raises(InvalidFields):
        ask_refund(till.db, VAULT, "op", RefundWish(order, " ", amount=0))
    assert audited(till) == []


def test_another_amount_is_accepted_or_returned_by_a_person(till: Till, bank: Bank) -> None:
    taken, returned = till.order(), till.order()
    attempts = {order: till.open_attempt(order) for order in (taken, returned)}
    for payment in attempts.values():
        assert till.hear("succeeded", payment, amount=TOTAL - 1) is Verdict.SUSPENDED
    with pytest.raises(IllegalMove):  # somebody has to say what becomes of the money
        settle_review(till.db, VAULT, "op", taken, ReviewStep.CLOSE, "never mind")
    settle_review(till.db, VAULT, "op", taken, ReviewStep.ACCEPT, "a coin is missing, fine")
    settle_review(till.db, VAULT, "op", returned, ReviewStep.RETURN, "not what was agreed")
    assert till.states(taken) == ("paid", ["succeeded"])
    assert till.states(returned) == ("reserved", ["refund_pending"])
    assert [till.order_row(order).review_reason for order in (taken, returned)] == [None, None]
    assert till.stock() == (UNITS, UNITS)
    carry_out(till, bank)
    assert till.states(returned) == ("reserved", ["refunded"])
    assert [action for action, _ in audited(till)] == ["accept-payment", "return-payment"]
    with pytest.raises(IllegalMove):
        settle_review(till.db, VAULT, "op", taken, ReviewStep.ACCEPT, "again")


def test_money_of_another_currency_is_nobodys_price_and_goes_back(till: Till, bank: Bank) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    assert till.hear("succeeded", payment, currency="JPY") is Verdict.SUSPENDED  # the very figure
    story = read_story(till.db, order)
    assert story.offers == ("return-payment", "resend-mail")
    (told,) = [moment.detail for moment in story.moments if moment.kind == "payment"]
    assert (told["captured"], told["captured_currency"], told["currency"]) == (TOTAL, "JPY", "KRW")
    with pytest.raises(IllegalMove, match="payment in another currency cannot move"):
        settle_review(till.db, VAULT, "op", order, ReviewStep.ACCEPT, "looks right")
    assert story.order.money.under_review == TOTAL
    settle_review(till.db, VAULT, "op", order, ReviewStep.RETURN, "we take won")
    carry_out(till, bank)
    assert (till.states(order), bank.back(payment)) == (("reserved", ["refunded"]), TOTAL)
    assert read_story(till.db, order).order.money.spare_back == TOTAL
    assert reconcile(till.db) == []


def test_other_reviews_are_closed_with_a_note(till: Till) -> None:
    order, payment = paid(till)
    till.hear("refunded", payment, refunded=TOTAL + 1)
    assert till.order_row(order).review_reason == "refund_above_paid"
    settle_review(till.db, VAULT, "op", order, ReviewStep.CLOSE, "the provider's mistake")
    assert till.order_row(order).review_reason is None
    with pytest.raises(IllegalMove):
        settle_review(till.db, VAULT, "op", order, ReviewStep.CLOSE, "again")
    assert till.hear("refunded", payment, refunded=TOTAL + 1) is Verdict.REPEATED  # under an id of its own
    assert till.order_row(order).review_reason is None
    assert till.hear("refunded", payment, refunded=TOTAL + 2) is Verdict.REVIEW  # they claim more now
    assert till.order_row(order).review_reason == "refund_above_paid"
    assert till.states(order) == ("paid", ["succeeded"])


def test_goods_go_out_arrive_and_come_back_step_by_step(till: Till, bank: Bank) -> None:
    order, _ = paid(till)
    with pytest.raises(IllegalMove, match="order cannot move from paid to shipped"):
        move_goods(till.db, VAULT, "op", order, GoodsAction.SHIP)
    with pytest.raises(IllegalMove, match="order cannot move from paid to return_requested"):
        request_return(till.db, BUYER, order)
    for action in (GoodsAction.FULFIL, GoodsAction.SHIP, GoodsAction.SHIP, GoodsAction.DELIVER):
        move_goods(till.db, VAULT, "op", order, action)
    with pytest.raises(UnknownOrder):
        request_return(till.db, "somebody else", order)
    for _ in range(2):
        assert request_return(till.db, BUYER, order) is OrderState.RETURN_REQUESTED
    with pytest.raises(InvalidFields):
        move_goods(till.db, VAULT, "op", order, GoodsAction.REFUSE_RETURN)
    move_goods(till.db, VAULT, "op", order, GoodsAction.REFUSE_RETURN, "it was worn")
    with pytest.raises(IllegalMove):
        move_goods(till.db, VAULT, "op", order, GoodsAction.REFUSE_RETURN, "it was worn")
    request_return(till.db, BUYER, order)
    move_goods(till.db, VAULT, "op", order, GoodsAction.ACCEPT_RETURN)
    till.assert_money_and_stock_agree()
    ask(till, order)
    carry_out(till, bank)
    assert (till.states(order), till.stock()) == (("refunded", ["refunded"]), (0, 0))
    steps = [action for action, _ in audited(till)]
    assert steps == ["fulfil", "ship", "deliver", "refuse-return", "accept-return", "refund"]


# ---------------------------------------------------------------- found by the model: news that cross each other


def test_what_comes_back_from_outside_beside_a_part_that_was_asked_for_ends_the_order_once(
    till: Till, bank: Bank
) -> None:
    order, payment = paid(till)
    ask(till, order, amount=1_000)
    assert till.hear("refunded", payment, refunded=TOTAL + 1) is Verdict.REVIEW, "more than was paid"
    assert till.states(order) == ("paid", ["refund_pending"])
    assert till.hear("refunded", payment, refunded=TOTAL) is Verdict.REFUNDED
    assert (till.states(order), till.stock()) == (("refunded", ["refunded"]), (0, 0))
    carry_out(till, bank)
    assert bank.back(payment) == 0, "it was all back before"
    till.assert_money_and_stock_agree()


def test_a_second_payment_on_its_way_back_does_not_end_an_order_whose_own_refund_is_not_through(
    till: Till, bank: Bank
) -> None:
    order = till.order()
    first = till.open_attempt(order)
    till.hear("failed", first)
    second = till.open_attempt(order)
    for payment in (second, first):
        till.hear("succeeded", payment)
    assert till.states(order) == ("paid", ["refund_pending", "succeeded"])
    ask(till, order)
    assert till.hear("refunded", first, refunded=TOTAL) is Verdict.REFUNDED
    assert till.states(order) == ("refunding", ["refunded", "refund_pending"])
    assert till.stock() == (0, UNITS)
    bank.refuses = True
    carry_out(till, bank)
    assert till.states(order) == ("paid", ["refunded", "succeeded"]), (
        "the money is still here, and so are the goods"
    )
    till.assert_money_and_stock_agree()


def test_goods_that_come_back_after_their_money_went_by_itself_are_free_again(till: Till) -> None:
    order, payment = paid(till)
    move_goods(till.db, VAULT, "op", order, GoodsAction.FULFIL)
    assert till.hear("refunded", payment, refunded=TOTAL) is Verdict.REVIEW
    assert (till.states(order), till.stock()) == (("fulfilling", ["refunded"]), (0, UNITS))
    assert reconcile(till.db) == [], "the books say what happened; what to do is for a person"
    move_goods(till.db, VAULT, "op", order, GoodsAction.SHIP)
    with pytest.raises(IllegalMove, match="order cannot move from shipped to refunding"):
        ask(till, order)
    move_goods(till.db, VAULT, "op", order, GoodsAction.DELIVER)
    request_return(till.db, BUYER, order)
    move_goods(till.db, VAULT, "op", order, GoodsAction.ACCEPT_RETURN)
    ask(till, order)
    assert (till.states(order), till.stock()) == (("refunded", ["refunded"]), (0, 0))
    assert reconcile(till.db) == []


def test_another_amount_may_be_nothing_at_all_or_partly_back_already(till: Till, bank: Bank) -> None:
    nothing, less = till.order(), till.order()
    empty, short = till.open_attempt(nothing), till.open_attempt(less)
    assert till.hear("succeeded", empty, amount=0) is Verdict.SUSPENDED
    assert till.hear("succeeded", short, amount=TOTAL - 1) is Verdict.SUSPENDED
    assert till.hear("refunded", short, amount=TOTAL - 1, refunded=1_000) is Verdict.PARTIALLY_REFUNDED
    settle_review(till.db, VAULT, "op", nothing, ReviewStep.RETURN, "nothing came")
    settle_review(till.db, VAULT, "op", less, ReviewStep.ACCEPT, "a rebate")
    carry_out(till, bank)
    assert till.states(nothing) == ("reserved", ["refunded"]), "it does not wait for ever"
    assert till.states(less) == ("paid", ["partially_refunded"])
    assert reconcile(till.db) == []


class Told(Paper):
    """A provider that tells again, and that the payment was made."""

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report:  # noqa: ARG002
        return Report(Fact.SUCCEEDED, TOTAL, "KRW")


def test_money_that_came_while_the_provider_was_silent_is_heard_of_without_any_callback(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    long_ago = till.db.read(lambda tx: tx.now) - timedelta(minutes=11)
    this = update(orders).where(orders.c.order_id == order)
    till.db.run(lambda tx: tx.execute(this.values(hold_expires_at=long_ago)) and None)
    silent = {"simulator": till.provider}
    expire_due(till.db, VAULT, silent)
    assert till.order_row(order).review_reason == "provider_unknown"
    ask_again(till.db, VAULT, silent)
    assert till.states(order) == ("expired", ["pending"])
    ask_again(till.db, VAULT, {"simulator": Told("http://127.0.0.1:9", API_KEY, [SECRET])})
    assert till.states(order) == ("expired", ["succeeded"])
    assert [one.late for one in late_entries(till.db)] == [payment], "it takes its turn in the lane"

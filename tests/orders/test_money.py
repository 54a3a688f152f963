"""A buyer is told where the money is: what pays for the order, what waits, what is looked at, what is on its way back and what is back."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from gateway.checkout import order_body
from gateway.pages.language import words_in
from gateway.pages.words import Words
from shop.orders.read import read_any_order
from shop.orders.rules import OrderState
from shop.payments.asked_refund import RefundWish, ask_refund
from shop.storage.database import Database
from tests.till import TOTAL, VAULT, Till


@pytest.fixture
def till(db: Database) -> Till:
    return Till(db).open()


def paid(till: Till) -> tuple[str, str]:
    order = till.order()
    till.hear("succeeded", payment := till.open_attempt(order))
    return order, payment


def money(till: Till, order: str) -> dict[str, int]:
    """Where there is any."""
    return {name: amount for name, amount in asdict(read_any_order(till.db, order).money).items() if amount}


def told(till: Till, order: str) -> list[str]:
    """What the page says about it in both languages, above all that the order's state says."""
    body = order_body(read_any_order(till.db, order))

    def said(words: Words) -> list[str]:
        return [*words.money_news(body), words.order_sentence(body)]

    english, korean = said(words_in("en")), said(words_in("ko"))
    assert len(english) == len(korean)
    assert all("\uac00" <= max(text) <= "\ud7a3" for text in korean if text)
    return english


def test_a_paid_order_needs_no_explanation(till: Till) -> None:
    order, _ = paid(till)
    assert money(till, order) == {"paid": TOTAL}
    assert told(till, order) == ["Thank you. A confirmation is on its way to you by mail."]


def test_money_that_comes_late_takes_its_turn(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.end(order, OrderState.EXPIRED)
    assert "Nothing was charged" in told(till, order)[-1]
    till.hear("succeeded", payment)
    assert money(till, order) == {"waiting": TOTAL}
    news, sentence = told(till, order)
    assert "takes its turn" in news
    assert "charged" not in sentence


def test_a_second_payment_goes_back_and_the_order_stays(till: Till) -> None:
    order = till.order()
    first = till.open_attempt(order)
    till.hear("failed", first)
    till.hear("succeeded", till.open_attempt(order))
    till.hear("succeeded", first)
    assert money(till, order) == {"paid": TOTAL, "spare_going_back": TOTAL}
    assert told(till, order)[0].startswith("A second payment of ₩42,000")
    till.hear("refunded", first, refunded=TOTAL)
    assert money(till, order) == {"paid": TOTAL, "spare_back": TOTAL}


def test_money_for_a_cancelled_order_goes_back(till: Till) -> None:
    order = till.order()
    payment = till.open_attempt(order)
    till.end(order, OrderState.CANCELLED)
    till.hear("succeeded", payment)
    assert money(till, order) == {"spare_going_back": TOTAL}
    news, sentence = told(till, order)
    assert "could not take it any more" in news
    assert "charged" not in sentence


def test_another_amount_is_looked_at_and_nothing_runs_out(till: Till) -> None:
    order = till.order()
    till.hear("succeeded", till.open_attempt(order), amount=TOTAL - 1)
    assert money(till, order) == {"under_review": TOTAL - 1}
    (sentence,) = told(till, order)
    assert "The shop looks at it" in sentence


def test_a_part_is_on_its_way_back_and_then_back(till: Till) -> None:
    order, payment = paid(till)
    ask_refund(till.db, VAULT, "op", RefundWish(order, "a scratch", 1_000))
    assert money(till, order) == {"paid": TOTAL, "going_back": 1_000}
    assert told(till, order)[0] == "₩1,000 of what you paid is on its way back to you."
    till.hear("refunded", payment, refunded=1_000)
    assert money(till, order) == {"paid": TOTAL, "back": 1_000}
    assert told(till, order)[0] == "₩1,000 of what you paid has been given back to you."


def test_the_whole_on_its_way_back_is_told_once(till: Till) -> None:
    order, payment = paid(till)
    ask_refund(till.db, VAULT, "op", RefundWish(order, "the buyer called"))
    assert money(till, order) == {"paid": TOTAL, "going_back": TOTAL}
    (sentence,) = told(till, order)
    assert "giving back" in sentence
    till.hear("refunded", payment, refunded=TOTAL)
    assert told(till, order) == [
        "Your bank may take a few days to show it. The order is over. Your place in the line was used by it, so you cannot join that line again."
    ]

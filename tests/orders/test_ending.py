"""Orders that end before they are paid: given up by their buyers, or run out of time. Money on its way is asked for first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from shop.errors import IllegalMove
from shop.mail.effects import EffectFailed
from shop.orders.cancel import CANCEL, cancel_effect, cancel_order
from shop.orders.expire import REVIEW_UNKNOWN, expire_due
from shop.orders.read import ended_orders, list_all_orders, list_orders, read_order
from shop.orders.rules import OrderState, UnknownOrder
from shop.payments.providers import Opened, Provider
from shop.payments.rules import Fact, PaymentState, ProviderUnavailable, Report, UnderReview
from shop.payments.settle import settle_report
from shop.payments.start import Start, start_payment
from shop.sales.acting import act
from shop.sales.rules import Action
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from shop.storage.tables import outbox
from tests.counter import VAULT, Counter


class AnsweringProvider:
    """A provider that answers every question in one way; None is silence."""

    name = "simulator"

    def __init__(self, fact: Fact | None) -> None:
        self.fact = fact
        self.asked: list[str] = []

    def fetch(self, payment_id: str, _provider_ref: str | None) -> Report:
        self.asked.append(payment_id)
        if self.fact is None:
            raise ProviderUnavailable("no answer")
        return Report(self.fact, 1000, "KRW")

    def cancel(self, payment_id: str, provider_ref: str | None) -> Report:
        return self.fetch(payment_id, provider_ref)

    def start(self, *_args: object, **_more: object) -> Opened:
        raise AssertionError("nobody starts a payment here")

    refund = start
    read_callback = start
    read_event = start


class BusyProvider(AnsweringProvider):
    """Takes its time to answer, and `meanwhile` happens."""

    def __init__(self, fact: Fact, meanwhile: Callable[[Provider], None]) -> None:
        super().__init__(fact)
        self.meanwhile = meanwhile

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report:
        self.meanwhile(self)  # type: ignore[arg-type]
        return super().fetch(payment_id, provider_ref)

    def start(self, *_args: object, **_more: object) -> Opened:
        return Opened("ref", "http://pay")


def providers(fact: Fact | None) -> dict[str, Provider]:
    return {"simulator": AnsweringProvider(fact)}  # type: ignore[dict-item]


@pytest.fixture
def counter(db: Database) -> Counter:
    return Counter(db).open({"seat": (10, 2, 1000), "gift": (3, 1, 0)})


@pytest.fixture
def reserved(counter: Counter) -> str:
    order = counter.order(0)
    counter.drain()
    return order


def test_a_reserved_order_is_cancelled_at_once_and_its_units_are_free(
    counter: Counter, reserved: str
) -> None:
    cancelled = cancel_order(counter.db, VAULT, "buyer0", reserved)
    assert (cancelled.state, cancelled.asking) == (OrderState.CANCELLED, False)
    assert [(end.jti, end.outcome) for end in cancelled.ended] == [("ticket1.1", "ended")]
    assert cancelled.sale_ids == (counter.sale.sale_id,)
    assert counter.stock() == (10, 0, 0)
    again = cancel_order(counter.db, VAULT, "buyer0", reserved)
    assert (again.state, again.ended) == (OrderState.CANCELLED, ())
    assert reconcile(counter.db) == []


def test_nobody_cancels_or_sees_anybody_elses_order(counter: Counter, reserved: str) -> None:
    queued = counter.order(3)
    with pytest.raises(UnknownOrder):
        cancel_order(counter.db, VAULT, "buyer1", reserved)
    with pytest.raises(UnknownOrder):
        cancel_order(counter.db, VAULT, "buyer1", queued, counter.lane[-1])
    with pytest.raises(UnknownOrder):
        read_order(counter.db, "buyer1", reserved)
    assert read_order(counter.db, "buyer0", reserved).state is OrderState.RESERVED
    assert list_orders(counter.db, "buyer1").items == []


def test_a_paid_or_rejected_order_cannot_be_cancelled_and_the_refusal_names_both_states(
    counter: Counter,
) -> None:
    paid, rejected = counter.order(0, product="gift"), counter.order(1, 9)
    counter.drain()
    for order, buyer, state in ((paid, "buyer0", "paid"), (rejected, "buyer1", "rejected")):
        with pytest.raises(IllegalMove) as refused:
            cancel_order(counter.db, VAULT, buyer, order)
        assert (refused.value.current, refused.value.wanted) == (state, "cancelled")


def test_cancelling_while_paying_waits_for_the_provider(counter: Counter, reserved: str) -> None:
    counter.start_paying(reserved)
    for _ in range(2):
        cancelled = cancel_order(counter.db, VAULT, "buyer0", reserved)
        assert (cancelled.state, cancelled.asking, cancelled.ended) == (OrderState.PAYING, True, ())
    wishes = select(func.count()).where(outbox.c.kind == CANCEL)
    assert counter.db.read(lambda tx: tx.scalar(wishes)) == 1
    wish = {"order_id": reserved}
    with pytest.raises(EffectFailed):
        cancel_effect(counter.db, VAULT, providers(None))(wish)
    assert counter.state(reserved)[0] == "paying"
    cancel_effect(counter.db, VAULT, providers(Fact.CANCELLED))(wish)
    assert counter.state(reserved)[0] == "cancelled"
    cancel_effect(counter.db, VAULT, providers(Fact.CANCELLED))(wish)
    assert counter.stock() == (10, 0, 0)
    assert reconcile(counter.db) == []


def test_a_cancelling_buyer_who_has_paid_meanwhile_has_a_paid_order(counter: Counter, reserved: str) -> None:
    counter.start_paying(reserved)
    cancel_order(counter.db, VAULT, "buyer0", reserved)
    cancel_effect(counter.db, VAULT, providers(Fact.SUCCEEDED))({"order_id": reserved})
    assert counter.state(reserved)[0] == "paid"
    assert counter.stock() == (10, 0, 1)
    assert reconcile(counter.db) == []


def test_an_order_with_suspended_money_neither_expires_nor_is_cancelled(
    counter: Counter, reserved: str
) -> None:
    counter.start_paying(reserved, PaymentState.SUSPENSE)
    counter.let_hold_run_out(reserved, timedelta(hours=1))
    assert expire_due(counter.db, VAULT, providers(Fact.PENDING)).ended == []
    with pytest.raises(UnderReview):
        cancel_order(counter.db, VAULT, "buyer0", reserved)
    assert counter.state(reserved)[0] == "paying"


def test_holds_that_have_run_out_free_their_units_and_others_stand(counter: Counter) -> None:
    over, standing = counter.order(0, 2), counter.order(1)
    counter.drain()
    counter.let_hold_run_out(over)
    swept = expire_due(counter.db, VAULT, {})
    assert [(end.order_id, end.outcome) for end in swept.ended] == [(over, "ended")]
    assert swept.sale_ids == {counter.sale.sale_id}
    assert [counter.state(order)[0] for order in (over, standing)] == ["expired", "reserved"]
    assert counter.stock() == (10, 1, 0)
    assert expire_due(counter.db, VAULT, {}).ended == []
    assert reconcile(counter.db) == []


def test_the_units_of_an_expired_order_go_to_the_next_in_the_lane(counter: Counter) -> None:
    first = [counter.order(buyer, 2) for buyer in range(5)]
    counter.drain()
    refused = counter.order(5)
    counter.drain()
    counter.let_hold_run_out(first[0])
    expire_due(counter.db, VAULT, {})
    served = counter.order(6)
    counter.drain()
    assert (counter.state(refused)[1], counter.state(served)[0]) == ("sold_out", "reserved")


@pytest.mark.parametrize(
    ("fact", "state"), [(Fact.SUCCEEDED, "paid"), (Fact.CANCELLED, "expired"), (Fact.FAILED, "expired")]
)
def test_a_paying_order_beyond_its_time_ends_as_the_provider_says(
    counter: Counter, reserved: str, fact: Fact, state: str
) -> None:
    counter.start_paying(reserved)
    counter.let_hold_run_out(reserved)
    swept = expire_due(counter.db, VAULT, providers(fact))
    assert counter.state(reserved)[0] == state
    assert [end.order_id for end in swept.ended] == [reserved]
    assert reconcile(counter.db) == []


def test_a_silent_provider_is_waited_for_ten_minutes_and_then_the_order_is_marked_for_review(
    counter: Counter, reserved: str
) -> None:
    counter.start_paying(reserved)
    counter.let_hold_run_out(reserved, timedelta(minutes=9))
    assert expire_due(counter.db, VAULT, providers(None)).ended == []
    assert counter.state(reserved)[0] == "paying"
    counter.let_hold_run_out(reserved, timedelta(minutes=10))
    assert [end.order_id for end in expire_due(counter.db, VAULT, providers(None)).ended] == [reserved]
    row = counter.row(reserved)
    assert (row.state, row.review_reason) == ("expired", REVIEW_UNKNOWN)
    assert counter.stock() == (10, 0, 0)


def test_a_silent_provider_costs_a_sweep_two_questions_and_not_one_for_every_order(counter: Counter) -> None:
    orders = [counter.order(buyer) for buyer in range(6)]
    counter.drain()
    for order in orders[:5]:
        counter.start_paying(order)
    for order in orders:
        counter.let_hold_run_out(order)
    silent = AnsweringProvider(None)
    swept = expire_due(counter.db, VAULT, {"simulator": silent})  # type: ignore[dict-item]
    assert len(silent.asked) == 2
    assert [end.order_id for end in swept.ended] == orders[5:]  # what needs no question ends all the same


def test_holds_that_are_lengthened_while_the_provider_is_asked_stand(counter: Counter, reserved: str) -> None:
    more = {"minutes": 10, "reason": "the provider is slow"}

    def lengthened(_provider: Provider) -> None:
        act(counter.db, "op", counter.sale.sale_id, Action.EXTEND_HOLDS, more)

    counter.start_paying(reserved)
    counter.let_hold_run_out(reserved)
    slow = BusyProvider(Fact.CANCELLED, lengthened)
    assert expire_due(counter.db, VAULT, {"simulator": slow}).ended == []  # type: ignore[dict-item]
    assert counter.state(reserved)[0] == "reserved"
    assert counter.stock() == (10, 1, 0)


def test_who_pays_again_while_the_provider_is_asked_for_an_end_is_not_cancelled(
    counter: Counter, reserved: str
) -> None:
    first = f"pay-{reserved}"

    def declined_and_tried_again(provider: Provider) -> None:
        settle_report(counter.db, VAULT, first, Report(Fact.FAILED, 1000, "KRW"))
        again = Start(reserved, "buyer0", ("another",), "hash", "http://shop/return")
        start_payment(counter.db, VAULT, {"simulator": provider}, again)

    busy = BusyProvider(Fact.CANCELLED, declined_and_tried_again)
    counter.start_paying(reserved)
    cancel_order(counter.db, VAULT, "buyer0", reserved)
    cancel_effect(counter.db, VAULT, {"simulator": busy})({"order_id": reserved})  # type: ignore[dict-item]
    assert counter.state(reserved)[0] == "paying", "money may be on its way"
    assert counter.stock() == (10, 1, 0)


def test_a_slow_provider_keeps_no_hold_of_the_next_round_waiting(counter: Counter) -> None:
    paying, other = counter.order(0), counter.order(1)
    counter.drain()
    counter.start_paying(paying)
    for order in (paying, other):
        counter.let_hold_run_out(order)
    slow = {"simulator": AnsweringProvider(Fact.CANCELLED)}
    for asking_s, ended in ((0.0, [other]), (60.0, [paying])):
        swept = expire_due(counter.db, VAULT, slow, asking_s=asking_s)  # type: ignore[arg-type]
        assert [end.order_id for end in swept.ended] == ended


def test_orders_that_wait_for_a_silent_provider_keep_no_other_hold_from_ending(counter: Counter) -> None:
    orders = [counter.order(buyer) for buyer in range(6)]
    counter.drain()
    for order in orders[:5]:
        counter.start_paying(order)
    for order in orders:
        counter.let_hold_run_out(order)
    swept = expire_due(counter.db, VAULT, providers(None), limit=3)
    assert [end.order_id for end in swept.ended] == orders[5:]


def test_orders_are_listed_newest_first_in_pages_without_repeats(counter: Counter) -> None:
    mine = [counter.order(0, product="gift"), *(counter.order(0, 9, accepted_at_ms=1000) for _ in range(6))]
    others = [counter.order(buyer) for buyer in range(1, 4)]
    counter.drain()
    seen, cursor = [], None
    while True:
        page = list_orders(counter.db, "buyer0", cursor=cursor, limit=2)
        seen += [order.order_id for order in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen[0] == mine[0]
    assert sorted(seen) == sorted(mine)
    held = list_all_orders(counter.db, sale_id=counter.sale.sale_id, states=[OrderState.RESERVED]).items
    assert sorted(order.order_id for order in held) == others
    assert [(line.title, line.quantity) for line in held[0].lines] == [("A seat 의자", 1)]


def test_those_whose_slot_is_free_are_found_again(counter: Counter) -> None:
    held, rejected, paid = counter.order(0), counter.order(1, 9), counter.order(2, product="gift")
    counter.drain()
    found = ended_orders(counter.db, [held, rejected, paid, "unknown"])
    assert sorted((end.order_id, str(end.outcome)) for end in found) == [
        (rejected, "rejected"),
        (paid, "paid"),
    ]
    assert ended_orders(counter.db, []) == []

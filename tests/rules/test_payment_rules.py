"""What a payment provider's reports may do, on every state there is and in any order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.errors import IllegalMove
from shop.orders.rules import OrderState
from shop.orders.rules import move as move_order
from shop.payments.rules import (
    KEPT,
    MOVES,
    OPEN,
    UNPAID,
    Attempt,
    Fact,
    Fate,
    PaymentState,
    Purchase,
    Report,
    Review,
    Verdict,
    move,
)
from shop.payments.ruling import give_back, rule

PRICE = 42_000
STORED = [state for state in OrderState if state is not OrderState.QUEUED]


def report(fact: Fact, amount: int = PRICE, currency: str = "KRW", refunded: int = 0) -> Report:
    return Report(fact, amount, currency, refunded)


SUCCESS, FAILURE, PENDING = report(Fact.SUCCEEDED), report(Fact.FAILED), report(Fact.PENDING)
CANCELLED, REFUND = report(Fact.CANCELLED), report(Fact.REFUNDED, refunded=PRICE)


def attempt(state: PaymentState, captured: int | None = None, refunded: int = 0) -> Attempt:
    paid = 0 if state in UNPAID else PRICE
    return Attempt(state, PRICE, "KRW", paid if captured is None else captured, refunded)


def purchase(state: OrderState = OrderState.PAYING, hold_over: bool = False) -> Purchase:
    return Purchase(state, hold_over)


# ---------------------------------------------------------------- the table


def test_a_payment_makes_the_moves_of_the_table_and_no_others() -> None:
    for current, wanted in itertools.product(PaymentState, PaymentState):
        if wanted in MOVES[current]:
            assert move(current, wanted) is wanted
        else:
            with pytest.raises(IllegalMove, match=f"payment cannot move from {current} to {wanted}"):
                move(current, wanted)


def test_a_succeeded_payment_never_fails() -> None:
    reachable, todo = set(), {PaymentState.SUCCEEDED}
    while todo:
        reachable |= todo
        todo = set().union(*(MOVES[state] for state in todo)) - reachable
    assert reachable.isdisjoint({PaymentState.FAILED, PaymentState.CANCELLED, *OPEN})


# ---------------------------------------------------------------- row by row


def test_success_pays_the_order() -> None:
    ruling = rule(attempt(PaymentState.PENDING), purchase(), SUCCESS)
    assert (ruling.verdict, ruling.moves, ruling.order) == (
        Verdict.PAID,
        (PaymentState.SUCCEEDED,),
        Fate.PAID,
    )
    assert ruling.captured == PRICE


def test_a_failure_leaves_the_hold_while_there_is_time_and_ends_it_after() -> None:
    in_time = rule(attempt(PaymentState.PENDING), purchase(hold_over=False), FAILURE)
    too_late = rule(attempt(PaymentState.PENDING), purchase(hold_over=True), FAILURE)
    assert (in_time.moves, in_time.order) == ((PaymentState.FAILED,), Fate.RESERVED)
    assert (too_late.moves, too_late.order) == ((PaymentState.FAILED,), Fate.EXPIRED)


def test_a_failure_does_not_touch_an_order_that_another_attempt_may_pay() -> None:
    busy = Purchase(OrderState.PAYING, hold_over=True, other_open=True)
    assert rule(attempt(PaymentState.PENDING), busy, FAILURE).order is Fate.STAYS


def test_an_order_does_not_expire_while_suspended_money_waits_for_a_decision() -> None:
    waiting = Purchase(OrderState.PAYING, hold_over=True, other_suspended=True)
    assert rule(attempt(PaymentState.PENDING), waiting, FAILURE).order is Fate.RESERVED


def test_pending_counts_only_after_created() -> None:
    assert rule(attempt(PaymentState.CREATED), purchase(), PENDING).moves == (PaymentState.PENDING,)
    for state in set(PaymentState) - {PaymentState.CREATED}:
        assert rule(attempt(state), purchase(), PENDING).moves == ()


@pytest.mark.parametrize("late", [FAILURE, PENDING, CANCELLED])
@pytest.mark.parametrize("state", sorted(set(PaymentState) - UNPAID))
def test_bad_news_after_money_came_is_stale(state: PaymentState, late: Report) -> None:
    ruling = rule(attempt(state), purchase(OrderState.PAID), late)
    assert (ruling.verdict, ruling.moves, ruling.order) == (Verdict.STALE, (), Fate.STAYS)


@pytest.mark.parametrize("state", [PaymentState.FAILED, PaymentState.CANCELLED])
def test_success_after_failure_pays_while_the_units_are_still_held(state: PaymentState) -> None:
    assert rule(attempt(state), purchase(OrderState.RESERVED), SUCCESS).order is Fate.PAID
    late = rule(attempt(state), purchase(OrderState.EXPIRED), SUCCESS)
    assert (late.verdict, late.order, late.refund_due) == (Verdict.LATE, Fate.STAYS, False)
    second = rule(attempt(state), Purchase(OrderState.EXPIRED, hold_over=True, other_kept=True), SUCCESS)
    assert (second.verdict, second.order, second.refund_due) == (Verdict.REFUND_DUE, Fate.STAYS, True)


@pytest.mark.parametrize("state", sorted(UNPAID))
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (report(Fact.SUCCEEDED, PRICE - 1), Review.AMOUNT_MISMATCH),
        (report(Fact.SUCCEEDED, currency="USD"), Review.CURRENCY_MISMATCH),
    ],
)
def test_another_amount_or_currency_is_suspended_and_never_pays(
    state: PaymentState, wrong: Report, why: Review
) -> None:
    for order in STORED:
        ruling = rule(attempt(state), purchase(order), wrong)
        assert (ruling.verdict, ruling.moves) == (Verdict.SUSPENDED, (PaymentState.SUSPENSE,))
        assert (ruling.order, ruling.review) == (Fate.STAYS, why)


def test_suspended_money_goes_back_in_the_end_and_frees_the_order() -> None:
    ruling = give_back(attempt(PaymentState.SUSPENSE), purchase(hold_over=True))
    assert (ruling.refund_due, ruling.order) == (True, Fate.EXPIRED)
    assert give_back(attempt(PaymentState.SUCCEEDED), purchase(OrderState.PAID)).moves == ()


@pytest.mark.parametrize(
    "order", [OrderState.CANCELLED, OrderState.PAID, OrderState.REFUNDED, OrderState.SHIPPED]
)
def test_money_for_a_cancelled_or_already_paid_order_goes_back(order: OrderState) -> None:
    ruling = rule(attempt(PaymentState.PENDING), purchase(order), SUCCESS)
    assert (ruling.verdict, ruling.order, ruling.refund_due) == (Verdict.REFUND_DUE, Fate.STAYS, True)


def test_a_partial_refund_adds_its_amount_and_moves_neither_order_nor_stock() -> None:
    first = rule(
        attempt(PaymentState.SUCCEEDED), purchase(OrderState.PAID), report(Fact.REFUNDED, refunded=1000)
    )
    assert (first.moves, first.refunded, first.order) == (
        (PaymentState.PARTIALLY_REFUNDED,),
        1000,
        Fate.STAYS,
    )
    partly = attempt(PaymentState.PARTIALLY_REFUNDED, refunded=1000)
    more = rule(partly, purchase(OrderState.PAID), report(Fact.REFUNDED, refunded=3000))
    assert (more.moves, more.refunded, more.order) == ((), 3000, Fate.STAYS)


def test_a_full_refund_ends_the_paid_order_once() -> None:
    ruling = rule(attempt(PaymentState.SUCCEEDED), purchase(OrderState.PAID), REFUND)
    assert (ruling.moves, ruling.order) == ((PaymentState.REFUNDED,), Fate.REFUNDED)
    again = rule(attempt(PaymentState.REFUNDED, refunded=PRICE), purchase(OrderState.REFUNDED), REFUND)
    assert (again.verdict, again.moves, again.order) == (Verdict.REPEATED, (), Fate.STAYS)


def test_the_refund_of_a_second_payment_leaves_the_order_that_the_first_one_paid() -> None:
    ruling = rule(attempt(PaymentState.REFUND_PENDING), purchase(OrderState.PAID), REFUND)
    assert (ruling.verdict, ruling.moves, ruling.order) == (
        Verdict.REFUNDED,
        (PaymentState.REFUNDED,),
        Fate.STAYS,
    )


def test_odd_refunds_are_for_the_operator_and_move_no_stock() -> None:
    sent = rule(attempt(PaymentState.SUCCEEDED), purchase(OrderState.SHIPPED), REFUND)
    assert (sent.verdict, sent.review, sent.order) == (Verdict.REVIEW, Review.REFUND_OUTSIDE, Fate.STAYS)
    above = rule(
        attempt(PaymentState.SUCCEEDED), purchase(OrderState.PAID), report(Fact.REFUNDED, refunded=PRICE + 1)
    )
    assert (above.verdict, above.review, above.order) == (
        Verdict.REVIEW,
        Review.REFUND_ABOVE_PAID,
        Fate.STAYS,
    )
    unpaid = rule(attempt(PaymentState.PENDING), purchase(), REFUND)
    assert (unpaid.verdict, unpaid.review, unpaid.order) == (
        Verdict.REVIEW,
        Review.REFUND_OF_UNPAID,
        Fate.STAYS,
    )


# ---------------------------------------------------------------- any order of anything


@dataclass
class World:
    """One order with two attempts, as rulings change it; the pure twin of the tables."""

    order: OrderState
    attempts: list[Attempt]
    hold_over: bool = False
    units: str = "held"

    def hear(self, index: int, news: Report) -> Verdict:
        mine = self.attempts[index]
        others = {a.state for i, a in enumerate(self.attempts) if i != index}
        is_open, is_kept = not others.isdisjoint(OPEN), not others.isdisjoint(KEPT)
        around = Purchase(self.order, self.hold_over, is_open, PaymentState.SUSPENSE in others, is_kept)
        ruling = rule(mine, around, news)
        state = mine.state
        for wanted in ruling.moves:
            state = move(state, wanted)
        captured = mine.captured if ruling.captured is None else ruling.captured
        refunded = mine.refunded if ruling.refunded is None else ruling.refunded
        self.attempts[index] = replace(mine, state=state, captured=captured, refunded=refunded)
        self._order(ruling.order)
        return ruling.verdict

    def _order(self, fate: Fate) -> None:
        match fate:
            case Fate.PAID:
                self.order, self.units = move_order(self.order, OrderState.PAID), "sold"
            case Fate.EXPIRED:
                self.order, self.units = move_order(self.order, OrderState.EXPIRED), "free"
            case Fate.RESERVED:
                self.order = move_order(self.order, OrderState.RESERVED)
            case Fate.REFUNDED:
                self.order = move_order(move_order(self.order, OrderState.REFUNDING), OrderState.REFUNDED)
                self.units = "free"

    def agrees(self) -> bool:
        """Money and stock agree: one payment keeps the money of a paid order with sold units, or waits for the lane to decide again
        on an expired one; all other money goes back.
        """
        kept = [a for a in self.attempts if a.state in KEPT]
        if self.order is OrderState.PAID:
            return self.units == "sold" and len(kept) == 1
        waiting = 1 if self.order is OrderState.EXPIRED else 0
        return len(kept) <= waiting and self.units == ("held" if self.order in HOLDING else "free")


HOLDING = (OrderState.RESERVED, OrderState.PAYING)

reports = st.one_of(
    st.sampled_from([SUCCESS, FAILURE, PENDING, CANCELLED, REFUND, report(Fact.SUCCEEDED, PRICE + 5)]),
    st.builds(
        Report,
        st.sampled_from(Fact),
        st.integers(0, 2 * PRICE),
        st.sampled_from(["KRW", "USD"]),
        st.integers(0, 2 * PRICE),
    ),
)
steps = st.lists(st.one_of(st.tuples(st.integers(0, 1), reports), st.just("hold over")), max_size=12)


@given(steps)
def test_money_and_stock_agree_after_any_reports_in_any_order(
    history: list[tuple[int, Report] | str],
) -> None:
    first = attempt(PaymentState.FAILED)  # the buyer tried twice
    world = World(OrderState.PAYING, [first, attempt(PaymentState.CREATED)])
    for step in history:
        if isinstance(step, str):
            world.hold_over = True
        else:
            world.hear(*step)
            assert world.agrees(), (step, world)


@given(st.permutations([SUCCESS, SUCCESS, PENDING, FAILURE, CANCELLED]))
def test_while_the_hold_stands_the_order_of_arrival_decides_nothing(arrival: list[Report]) -> None:
    world = World(OrderState.PAYING, [attempt(PaymentState.CREATED)])
    for news in arrival:
        world.hear(0, news)
    assert (world.order, world.units) == (OrderState.PAID, "sold")
    assert world.attempts[0].state is PaymentState.SUCCEEDED


@given(
    st.sampled_from(PaymentState),
    st.sampled_from(STORED),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, PRICE),
    reports,
)
def test_every_report_on_every_state_has_an_answer_whose_moves_are_legal(
    state: PaymentState, order: OrderState, over: bool, busy: bool, held: bool, back: int, news: Report
) -> None:
    ruling = rule(attempt(state, refunded=back), Purchase(order, over, busy, held), news)
    for wanted in ruling.moves:
        state = move(state, wanted)
    if ruling.order in (Fate.PAID, Fate.RESERVED, Fate.EXPIRED):
        move_order(order, OrderState(ruling.order.value))

"""Buyers, a bank, operators and the sweeper do what they like: the steps of a trace, and how it comes to rest."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shop.mail.effects import deliver_due
from shop.orders.cancel import CANCEL, cancel_effect, cancel_order
from shop.orders.decide import drain_once
from shop.orders.expire import ask_again, expire_due
from shop.orders.fulfil import GoodsAction, move_goods, request_return
from shop.orders.late import late_entries, refuse_without_lane
from shop.payments.apply import REFUND
from shop.payments.asked_refund import RefundWish, ask_refund
from shop.payments.refund import refund_effect
from shop.payments.review import ReviewStep, settle_review
from shop.payments.settle import give_back_suspended
from shop.sales.acting import act, return_unsold
from shop.sales.reading import live_sale_ids
from shop.sales.rules import Action
from shop.sales.stocking import adjust_on_hand, set_allotment
from shop.stock.reconcile import reconcile
from tests.counter import VAULT
from tests.model.bank import MOODS, START_MOODS
from tests.model.paper import GOODS, HELD, KEPT, MINUTE, OPEN, SOLD, STEPS, News
from tests.model.stall import BUYERS, ITEMS, Stall, one_of
from tests.model.stall_rows import make_effects_due, same

PICK = st.integers(0, 11)
LINES = st.dictionaries(
    st.sampled_from(["seat", "desk"] * 4 + ["gift", "ghost"]),
    st.sampled_from([1, 1, 2, 3]),
    min_size=1,
    max_size=2,
)
MOOD = st.sampled_from(MOODS)


class Market(Stall):
    """Everything that may happen to the sale."""

    # ------------------------------------------------------------ the lane

    @rule(buyer=st.integers(0, BUYERS - 1), lines=LINES)
    def order(self, buyer: int, lines: dict[str, int]) -> None:
        self._accept(buyer, lines)

    @precondition(lambda self: self.entries)
    @rule(buyer=st.integers(0, BUYERS - 1), lines=LINES, pick=PICK)
    def order_with_a_pass_of_another_order(self, buyer: int, lines: dict[str, int], pick: int) -> None:
        self._accept(buyer, lines, pass_jti=one_of(self.entries, pick).pass_jti)

    @precondition(lambda self: self.entries)
    @rule(pick=PICK)
    def an_entry_comes_once_more(self, pick: int) -> None:
        """By a receipt, or because a drain died before it took the entry off."""
        self.counter.lane.append(one_of(self.entries, pick))

    @precondition(lambda self: len(self.counter.lane) > 1)
    @rule()
    def redis_loses_the_lane(self) -> None:
        self.counter.lane.clear()

    @rule(count=st.sampled_from([1, 2, 3, 100]))
    def drain(self, count: int) -> None:
        self._step()
        head = self.counter.lane[:count]
        expected = self.paper.drain(head)
        result = drain_once(
            self.db, self.sale_id, self.counter.head, vault=VAULT, batch_max=count, batch_ms=60_000
        )
        known = [*result.passed_over, *result.decisions]
        same(expected, {one.late or one.order_id: (one.state.value, one.reason) for one in known}, "decided")
        gone = set(result.lane_ids)
        self.counter.lane = [entry for entry in self.counter.lane if entry.lane_id not in gone]

    @precondition(lambda self: self.paper.late_payments())
    @rule(times=st.integers(1, 2))
    def late_money_joins_the_lane(self, times: int) -> None:
        """As the sweeper does it; perhaps twice, since two sweepers may."""
        self._step()
        waiting = late_entries(self.db)
        same(self.paper.late_payments(), [entry.late for entry in waiting], "late money")
        same(self.paper.is_live, self.sale_id in live_sale_ids(self.db), "is live")
        if self.paper.is_live:
            self.counter.lane += waiting * times
            return
        self.paper.refuse_late_where_nobody_decides()
        for entry in waiting:
            refuse_without_lane(self.db, VAULT, entry.lane_id)

    # ------------------------------------------------------------ buyers and the bank

    @precondition(lambda self: self.paper.orders)
    @rule(pick=PICK, fresh=st.booleans(), mood=st.sampled_from(START_MOODS))
    def start(self, pick: int, fresh: bool, mood: str) -> None:
        self._start(self._order(pick, "reserved", "paying"), mood, fresh)

    @precondition(lambda self: self._accounts("pending", "failed", "cancelled"))
    @rule(pick=PICK)
    def pay(self, pick: int) -> None:
        payment_id = one_of(self._accounts("pending", "failed", "cancelled"), pick)
        self._at_bank(payment_id, lambda account: account.capture(account.asked))

    @precondition(lambda self: self._accounts("pending"))
    @rule(pick=PICK, by=st.sampled_from([-1, 500, -(10**9)]))
    def pay_wrongly(self, pick: int, by: int) -> None:
        payment_id = one_of(self._accounts("pending"), pick)
        self._at_bank(payment_id, lambda account: account.capture(max(0, account.asked + by)))

    @precondition(lambda self: self._accounts("pending"))
    @rule(pick=PICK)
    def decline(self, pick: int) -> None:
        self._at_bank(one_of(self._accounts("pending"), pick), lambda account: account.end("failed"))

    @precondition(lambda self: self._accounts("succeeded"))
    @rule(pick=PICK, part=st.sampled_from([1, 300, 10**9]))
    def refund_outside(self, pick: int, part: int) -> None:
        def give(account: Any) -> None:
            account.outside += min(part, account.kept)

        self._at_bank(one_of(self._accounts("succeeded"), pick), give)

    @precondition(lambda self: self.news)
    @rule(pick=PICK, again=st.booleans())
    def hear(self, pick: int, again: bool) -> None:
        """Some news arrive, in no order, and perhaps will arrive again."""
        news = self.news[pick % len(self.news)] if again else self.news.pop(pick % len(self.news))
        self._hear(news)

    @precondition(lambda self: self.bank.accounts)
    @rule(pick=PICK)
    def hear_how_it_stands(self, pick: int) -> None:
        """The bank repeats how a payment stands, under a new event id."""
        self._hear(self._news_of(one_of(list(self.bank.accounts), pick)))

    @precondition(lambda self: self._payments(*KEPT))
    @rule(pick=PICK)
    def hear_of_more_money_back_than_came(self, pick: int) -> None:
        payment = one_of(self._payments(*KEPT), pick)
        captured = payment.captured
        self._hear(News(self._name("evt"), payment.payment_id, "refunded", captured, captured + 1))

    @precondition(lambda self: self._accounts("succeeded"))
    @rule(pick=PICK)
    def hear_of_another_currency(self, pick: int) -> None:
        payment_id = one_of(self._accounts("succeeded"), pick)
        news = self._news_of(payment_id)
        news.currency = "USD"
        self._hear(news)

    @precondition(lambda self: self.entries)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        entry = one_of(self.entries, pick)
        queued = next((one for one in self.counter.lane if one.lane_id == entry.order_id), None)
        if queued is None and entry.order_id not in self.paper.orders:
            return  # it was lost, and nobody has shown its receipt
        self._both(
            lambda: self.paper.cancel(entry.order_id, queued),
            lambda: _cancelled(cancel_order(self.db, VAULT, entry.account_id, entry.order_id, queued)),
        )

    @precondition(lambda self: self._orders(*HELD, *SOLD))
    @rule(pick=PICK)
    def ask_for_a_return(self, pick: int) -> None:
        order = self._order(pick, "delivered")
        self._both(
            lambda: self.paper.request_return(order.order_id),
            lambda: request_return(self.db, order.buyer, order.order_id).value,
        )

    @rule(buyer=st.integers(0, BUYERS - 1), lines=LINES, pays=st.booleans())
    def buy(self, buyer: int, lines: dict[str, int], pays: bool) -> None:
        """The straight way, so that traces come to what lies behind it."""
        order_id = self._accept(buyer, lines)
        self.drain(100)
        self._agree()
        order = self.paper.orders.get(order_id)
        if order is not None and order.state == "reserved":
            self._start(order, "open", True)
            self._agree()
            if pays:
                payment_id = self.bank.asked[-1]
                self._at_bank(payment_id, lambda account: account.capture(account.asked))
                self._hear(self.news.pop())

    # ------------------------------------------------------------ time, the sweeper, the outbox

    @rule(minutes=st.sampled_from([1, 4, 11, 70, 25 * 60]))
    def time_passes(self, minutes: int) -> None:
        self._step(minutes * MINUTE)

    @rule(mood=MOOD)
    def sweep(self, mood: str) -> None:
        self._step(mood=mood)
        self.paper.sweep(mood)
        expire_due(self.db, VAULT, {"simulator": self.bank})
        self.paper.ask_again(mood)
        ask_again(self.db, VAULT, {"simulator": self.bank})

    @precondition(lambda self: self._orders(*HELD))
    @rule(mood=MOOD)
    def holds_run_out(self, mood: str) -> None:
        self.time_passes(11)
        self._agree()
        self.sweep(mood)

    @precondition(lambda self: self.paper.effects)
    @rule(mood=MOOD)
    def carry_out(self, mood: str) -> None:
        """What stands in the outbox, also what failed before."""
        self._step(mood=mood)
        self.paper.carry_out(mood)
        self.db.run(make_effects_due)
        providers = {"simulator": self.bank}
        effects = {
            REFUND: refund_effect(self.db, VAULT, providers),
            CANCEL: cancel_effect(self.db, VAULT, providers),
        }
        deliver_due(self.db, VAULT, effects, limit=1_000)

    @precondition(lambda self: self._payments("suspense"))
    @rule()
    def give_back_what_nobody_decided_on(self) -> None:
        self._step()
        self.paper.give_back_suspended()
        give_back_suspended(self.db, VAULT)

    @precondition(lambda self: self.paper.control != "running" or self.paper.now >= self.paper.closes)
    @rule()
    def return_unsold(self) -> None:
        self._step()
        self.paper.return_unsold()
        return_unsold(self.db)

    # ------------------------------------------------------------ operators

    @precondition(lambda self: self._orders(*SOLD))
    @rule(pick=PICK, amount=st.sampled_from([None, None, 1, 300, 1000]), stale=st.booleans())
    def ask_for_a_refund(self, pick: int, amount: int | None, stale: bool) -> None:
        order = self._order(pick, "paid", "fulfilling", "returned")
        was = 0 if stale else None
        wish = RefundWish(order.order_id, "why not", amount, was)
        self._both(
            lambda: self.paper.ask_refund(order.order_id, amount, was),
            lambda: "taken" if ask_refund(self.db, VAULT, "op", wish) else "",
        )

    @precondition(lambda self: any(order.review for order in self.paper.orders.values()))
    @rule(pick=PICK, step=st.sampled_from(list(ReviewStep)))
    def settle_a_review(self, pick: int, step: ReviewStep) -> None:
        order = one_of([one for one in self.paper.orders.values() if one.review], pick)
        self._both(
            lambda: self.paper.review(order.order_id, step.value),
            lambda: settle_review(self.db, VAULT, "op", order.order_id, step, "so it is").verdict.value,
        )

    @precondition(lambda self: self._orders(*SOLD))
    @rule(pick=PICK, action=st.sampled_from(list(GoodsAction)))
    def move_goods(self, pick: int, action: GoodsAction) -> None:
        order = self._order(pick, STEPS[action.value][0])
        self._both(
            lambda: self.paper.move_goods(order.order_id, action.value),
            lambda: move_goods(self.db, VAULT, "op", order.order_id, action, "so it is").value,
        )

    @rule(product=st.sampled_from(list(ITEMS)), allotted=st.integers(0, 9))
    def set_the_allotment(self, product: str, allotted: int) -> None:
        self._both(
            lambda: self.paper.set_allotment(product, allotted),
            lambda: set_allotment(self.db, "op", self.sale_id, product, allotted, "so it is") and "done",
        )

    @precondition(lambda self: self.paper.control != "running")
    @rule(product=st.sampled_from(list(ITEMS)), change=st.sampled_from([-20_000, -1, 0, 7]))
    def count_the_shelf(self, product: str, change: int) -> None:
        self._both(
            lambda: self.paper.adjust_shelf(product, change),
            lambda: adjust_on_hand(self.db, "op", product, change, "counted") and "done",
        )

    @precondition(lambda self: self._orders(*HELD))
    @rule(minutes=st.integers(1, 30))
    def lengthen_holds(self, minutes: int) -> None:
        params = {"minutes": minutes, "reason": "the bank is down"}
        self._both(
            lambda: self.paper.extend_holds(minutes),
            lambda: act(self.db, "op", self.sale_id, Action.EXTEND_HOLDS, params).control.value,
        )

    @precondition(lambda self: len(self.paper.orders) > 3)
    @rule(action=st.sampled_from([Action.CLOSE, Action.CANCEL]))
    def end_the_sale(self, action: Action) -> None:
        self._both(
            lambda: self.paper.end_sale(action.value),
            lambda: act(self.db, "op", self.sale_id, action).control.value,
        )

    # ------------------------------------------------------------ the end

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self._come_to_rest()

    def _come_to_rest(self) -> None:
        """Nothing is left to happen, and the laws hold: the books add up, and money that is kept has its goods."""
        assert reconcile(self.db) == []
        for _ in range(3):
            self.time_passes(25 * 60)
            while self.news:  # nothing stays unsaid
                self._hear(self.news.pop(0))
            for payment_id in list(self.bank.accounts):
                self._hear(self._news_of(payment_id))
            for what in (
                self.give_back_what_nobody_decided_on,
                lambda: self.late_money_joins_the_lane(1),
                lambda: self.drain(100),
                lambda: self.sweep("open"),
                lambda: self.carry_out("open"),
                self.return_unsold,
            ):
                what()
                self._agree()
        assert reconcile(self.db) == []
        assert not self._orders(*HELD), "nobody holds anything for ever"
        hanging = self._payments(*OPEN, "suspense", "refund_pending")
        hanging = [one for one in hanging if one.order.review != "provider_unknown"]  # a person was told
        same([], hanging, "money that hangs in the air")
        for order in self.paper.orders.values():
            mine = self.paper._of(order.order_id)
            known = [one for one in mine if one.payment_id in self.bank.accounts]
            kept = [one for one in known if self.bank.accounts[one.payment_id].kept]
            wanted = 1 if order.state in SOLD and order.total else 0
            # The bank gave money back by itself while the goods were out, or of another amount there was none at all.
            gone = order.state in GOODS and any(one.state == "refunded" for one in mine)
            nothing = any(one.pays and one.captured == 0 for one in mine)
            assert len(kept) == (0 if gone or nothing else wanted), (order, kept)


def _cancelled(cancelled: Any) -> str:
    return "asking" if cancelled.asking else str(cancelled.state.value)

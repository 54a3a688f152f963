"""The shop on paper: what becomes of every order, said as plainly as it can be, by all that buyers, time and operators do.

One thread, plain Python, no database and none of the product's rules. Every method is one thing that happens; it changes the paper
and returns the word that the shop should answer. Orders, payments and stock are then what the database should say.
"""

from __future__ import annotations

from shop.orders.entry import OrderEntry
from tests.model.bank import Account
from tests.model.paper import (
    AFTERLIFE,
    ENDED,
    GOODS,
    GUARANTEE,
    HELD,
    HOLD,
    KEPT,
    LAST_PASS,
    LEASE,
    MINUTE,
    OPEN,
    SOLD,
    STEPS,
    SUSPENDED,
    WAIT,
    News,
    Order,
    Payment,
)
from tests.model.paper_till import PaperTill


class PaperShop(PaperTill):
    """The whole paper of one sale."""

    # ------------------------------------------------------------ the lane

    def drain(self, head: list[OrderEntry]) -> dict[str, tuple[str, str | None]]:
        """What becomes of each entry, by its name in the lane: state and reason."""
        told: dict[str, tuple[str, str | None]] = {}
        for entry in head:
            if entry.lane_id not in told:
                told[entry.lane_id] = self._decide_late(entry) if entry.late else self._decide(entry)
        return told

    def _decide(self, entry: OrderEntry) -> tuple[str, str | None]:
        known = self.orders.get(entry.order_id)
        if known is None:
            self.seq += 1
            known = self._entered(entry, "rejected")
            units, known.seq = known.units, self.seq
            known.reason = self._objection(entry)
            if known.reason is None and known.total:
                known.state, known.hold_ends = "reserved", self.now + HOLD
                self.stock.hold(known.order_id, units)
            elif known.reason is None:
                known.state = "paid"
                self.stock.sell(known.order_id, units)
            self.orders[known.order_id] = known
        return known.state, known.reason

    def _entered(self, entry: OrderEntry, state: str) -> Order:
        """The order with what the sale offers of it."""
        items = self.stock.items
        units = {line.product_id: line.quantity for line in entry.lines if line.product_id in items}
        order = Order(entry.order_id, entry.account_id, entry.pass_jti, units, state)
        order.total = sum(items[product].price * n for product, n in units.items())
        return order

    def _decide_late(self, entry: OrderEntry) -> tuple[str, str | None]:
        payment = self.payments[entry.late or ""]
        order = payment.order
        if payment.late is None:
            return order.state, order.reason
        payment.late = None
        if self._objection(entry) is None:
            order.state = "paid"
            self.stock.sell(order.order_id, order.units)
            return "paid", None
        self._refuse_late(payment)
        return "expired", None

    def _objection(self, entry: OrderEntry) -> str | None:
        used = {one.jti for one in self.orders.values() if one.state != "rejected"}
        if entry.late is None and entry.pass_jti in used:
            return "pass_used"
        wanted = {line.product_id: line.quantity for line in entry.lines}
        if self.control == "cancelled" or not wanted.keys() <= self.stock.items.keys():
            return "not_on_sale"
        for product, units in wanted.items():
            has = sum(
                order.units.get(product, 0)
                for order in self.orders.values()
                if order.buyer == entry.account_id and order.state in HELD + SOLD
            )
            if has + units > self.stock.items[product].limit:
                return "over_limit"
        if any(units > self.stock.items[product].free for product, units in wanted.items()):
            return "sold_out"
        return None

    def late_payments(self) -> list[str]:
        """Money that came after its hold, in the order in which it came."""
        waiting = [one for one in self.payments.values() if one.late is not None]
        return [one.payment_id for one in sorted(waiting, key=lambda one: (one.late, one.payment_id))]

    def refuse_late_where_nobody_decides(self) -> None:
        for payment_id in self.late_payments():
            self.payments[payment_id].late = None
            self._refuse_late(self.payments[payment_id])

    def _refuse_late(self, payment: Payment) -> None:
        payment.state, payment.touched = "refund_pending", self.now
        payment.review = payment.order.review = "late_success"
        self.effects.append(("refund", payment.payment_id, None, "all"))

    # ------------------------------------------------------------ buyers

    def cancel(self, order_id: str, queued: OrderEntry | None) -> str:
        order = self.orders.get(order_id)
        if order is None:
            assert queued is not None
            self.orders[order_id] = self._entered(queued, "cancelled")
            return "cancelled"
        if self._suspended(order):
            return "UnderReview"
        if order.state == "paying":
            self.effects.append(("cancel", order_id, None, ""))
            return "asking"
        if order.state == "reserved":
            self._free(order, "cancelled")
        return "cancelled" if order.state == "cancelled" else "IllegalMove"

    def start(self, order_id: str, key: str, mood: str, payment_id: str | None, quick: News | None) -> str:
        """`payment_id`: the name that a new attempt got, if there was one. `quick`: news that come before the bank's answer."""
        order, mine = self.orders[order_id], self._of(order_id)
        same = next((one for one in mine if one.key == key), None)
        if same is not None and same.page:
            return f"page {same.payment_id}"
        if same is not None and same.state in ENDED:
            same.key = same.payment_id  # it ended without an answer to repeat: the key is free again
        payment = next((one for one in mine if one.state in OPEN), None)
        if payment is not None and payment.page:
            return f"page {payment.payment_id}"
        if payment is not None and payment.lease is not None and payment.lease > self.now:
            return "StillRunning"
        if payment is None:
            if self._suspended(order):
                return "UnderReview"
            if order.state != "reserved" or self._over(order):
                return "IllegalMove"
            assert payment_id is not None, "the shop should have asked the bank"
            payment = Payment(payment_id, order, order.total, key, touched=self.now)
            self.payments[payment_id] = payment
            order.state = "paying"
            if not order.lengthened and (order.hold_ends or 0) < self.now + GUARANTEE:
                order.hold_ends, order.lengthened = self.now + GUARANTEE, True
        payment.lease = self.now + LEASE
        return self._call_the_bank(payment, mood, quick)

    def _call_the_bank(self, payment: Payment, mood: str, quick: News | None) -> str:
        if mood == "away":
            payment.lease = None
            return "ProviderUnavailable"
        if mood == "refuses":
            self._settle(payment, "failed", payment.amount, 0)
            return "ProviderRefused"
        account = self.bank.setdefault(payment.payment_id, Account(payment.amount))
        if quick is not None:
            account.capture(payment.amount) if mood == "quick" else account.end("failed")
            self.hear(quick)
        if mood == "dies":
            return "Died"
        if mood == "lost":
            payment.lease = None
            return "ProviderUnavailable"
        payment.lease, payment.touched = None, self.now
        if payment.state in ENDED:
            return "IllegalMove"
        payment.page = True
        if payment.state == "created":
            payment.state = "pending"
        return f"page {payment.payment_id}"

    def request_return(self, order_id: str) -> str:
        order = self.orders[order_id]
        if order.state not in ("delivered", "return_requested"):
            return "IllegalMove"
        order.state = "return_requested"
        return order.state

    # ------------------------------------------------------------ the sweeper

    def sweep(self, mood: str) -> None:
        """Holds that are over end, those in `paying` once the bank was asked."""
        due = [one for one in self._by_id() if one.state in HELD and self._over(one)]
        due = [one for one in due if not self._suspended(one)]
        silences = 0
        for order in [
            *(one for one in due if one.state == "reserved"),
            *(one for one in due if one.state == "paying"),
        ]:
            answer = "cancelled"
            if order.state == "paying":
                answer = "unreachable" if silences == 2 else self._ask(order, mood)
                silences += answer == "unreachable"
            if answer not in ("cancelled", "unreachable") or order.state not in HELD or not self._over(order):
                continue
            is_open = any(one.state in OPEN for one in self._of(order.order_id))
            if not is_open or (order.hold_ends or 0) + WAIT <= self.now:
                self._free(order, "expired")
                order.review = "provider_unknown" if is_open else order.review

    def ask_again(self, mood: str) -> None:
        """The bank was silent when these orders ended; it is asked for a day, about the newest first, until it is silent again."""
        unknown = [
            one for one in self._by_id() if one.state == "expired" and one.review == "provider_unknown"
        ]
        recent = [one for one in unknown if self.now - SUSPENDED <= (one.hold_ends or 0) <= self.now]
        for order in sorted(recent, key=lambda one: -(one.hold_ends or 0)):
            is_open = any(one.state in OPEN for one in self._of(order.order_id))
            if is_open and self._ask(order, mood) == "unreachable":
                return

    # ------------------------------------------------------------ operators

    def ask_refund(self, order_id: str, amount: int | None, was: int | None) -> str:
        order, mine = self.orders[order_id], self._of(order_id)
        if amount is None and order.state in ("refunding", "refunded"):
            return "taken"
        payment = next((one for one in mine if one.state in KEPT), None)
        if payment is None:
            return self._refund_without_money(order, amount)
        left = payment.captured - payment.refunded
        if was is not None and was != payment.refunded:
            return "StaleRefund"
        if amount is not None and amount > left:
            return "InvalidFields"
        whole = amount in (None, left)
        if order.state not in (("paid", "fulfilling", "returned") if whole else ("paid", *GOODS)):
            return "IllegalMove"
        if whole:
            order.state = "refunding"
        until = payment.refunded + (left if amount is None else amount)
        self._turn(payment, "refund_pending")
        payment.until, payment.review = until, None
        asked = (until, until - payment.refunded)
        self.effects.append(("refund", payment.payment_id, asked, f"{self.now}-{until}"))
        return "taken"

    def _refund_without_money(self, order: Order, amount: int | None) -> str:
        """An order that cost nothing, or whose money went back behind the shop's back while its goods were out."""
        owes = order.total and not any(one.state == "refunded" for one in self._of(order.order_id))
        going = any(one.state == "refund_pending" for one in self._of(order.order_id))
        if (
            owes
            or (going and order.total)
            or amount is not None
            or order.state not in ("paid", "fulfilling", "returned")
        ):
            return "IllegalMove"
        order.state = "refunded"
        self.stock.take_back(order.order_id, order.units)
        return "taken"

    def review(self, order_id: str, step: str) -> str:
        order, mine = self.orders[order_id], self._of(order_id)
        payment = next((one for one in mine if one.state == "suspense"), None)
        if step == "close-review":
            if order.review is None or payment is not None:
                return "IllegalMove"
        elif payment is None or (step == "accept-payment" and (order.state not in HELD or payment.foreign)):
            return "IllegalMove"
        order.review = None
        for one in mine:
            one.review, one.touched = None, self.now
        if step == "close-review" or payment is None:
            return "recorded"
        if step == "return-payment":
            self._return_suspended(payment)
            return "refund_due"
        self._turn(payment, "partially_refunded" if payment.refunded else "succeeded")
        self._pay(order)
        return "paid"

    def move_goods(self, order_id: str, action: str) -> str:
        order = self.orders[order_id]
        begins, ends = STEPS[action]
        if order.state == begins:
            order.state = ends
        elif order.state != ends or action == "refuse-return":
            return "IllegalMove"
        return ends

    def end_sale(self, action: str) -> str:
        if self.control != "running":
            return "IllegalMove"
        self.control, self.ended_at = ("closed" if action == "close" else "cancelled"), self.now
        if action == "cancel":
            self.stock.return_free()
        return self.control

    def extend_holds(self, minutes: int) -> str:
        if self.control == "cancelled":
            return "IllegalMove"
        for order in self.orders.values():
            if order.state in HELD:
                order.hold_ends = max(order.hold_ends or 0, self.now) + minutes * MINUTE
        return self.control

    def return_unsold(self) -> None:
        """A cancelled sale keeps nothing; another one what the last pass may still buy."""
        ended = self.closes if self.ended_at is None else min(self.closes, self.ended_at)
        over = self.control != "running" or self.closes <= self.now
        if over and (self.control == "cancelled" or self.now >= ended + LAST_PASS):
            self.stock.return_free()

    def set_allotment(self, product: str, allotted: int) -> str:
        item = self.stock.items[product]
        if self.control != "running" or self.now >= self.closes:
            return "IllegalMove"
        if allotted < item.held + item.sold or allotted - item.allotted > item.shelf:
            return "InvalidFields"
        if allotted != item.allotted:
            self.stock.allot(product, allotted - item.allotted, "allot")
        return "done"

    def adjust_shelf(self, product: str, change: int) -> str:
        item = self.stock.items[product]
        if change == 0 or item.shelf + change < 0:
            return "InvalidFields"
        item.shelf += change
        return "done"

    @property
    def is_live(self) -> bool:
        """The sale's lane is still looked after."""
        return (self.closes if self.ended_at is None else self.ended_at) + AFTERLIFE > self.now

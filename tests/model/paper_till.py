"""Money on paper: what becomes of a payment and its order by every piece of news, by asking the bank, and by the outbox."""

from __future__ import annotations

from tests.model.paper import ENDED, GOODS, HELD, KEPT, OPEN, SUSPENDED, News, Order, Paper, Payment


class PaperTill(Paper):
    """The part of the paper that money writes on."""

    def hear(self, news: News) -> str:
        """A callback arrives."""
        if news.event_id in self.inbox:
            return "repeated"
        payment = self.payments[news.payment_id]
        verdict = self._settle(payment, news.fact, news.amount, news.refunded, news.currency)
        self.inbox[news.event_id] = verdict
        return verdict

    def _settle(self, payment: Payment, fact: str, amount: int, back: int, currency: str = "KRW") -> str:
        if fact == "pending":
            if payment.state == "created":
                self._turn(payment, "pending")
                return "pending"
            return "repeated" if payment.state == "pending" else "stale"
        if fact in ENDED:
            if payment.state in OPEN:
                self._turn(payment, fact)
                self._go_on_without(payment)
                return fact
            return "repeated" if payment.state in ENDED else "stale"
        if fact == "succeeded" and payment.state in OPEN + ENDED:
            return self._money_came(payment, amount, max(back, payment.refunded), currency)
        return self._money_went(payment, back)

    def _money_came(self, payment: Payment, amount: int, back: int, currency: str) -> str:
        order = payment.order
        payment.captured, payment.refunded = amount, back
        if back and back >= amount:  # it came and went
            self._turn(payment, "refunded")
            self._go_on_without(payment)
            return "refunded"
        if (amount, currency) != (payment.amount, "KRW"):
            self._turn(payment, "suspense")
            payment.foreign = None if currency == "KRW" else currency
            payment.review = order.review = "currency_mismatch" if payment.foreign else "amount_mismatch"
            return "suspended"
        self._turn(payment, "partially_refunded" if back else "succeeded")
        if order.state in HELD:
            self._pay(order)
            return "paid"
        if order.state == "expired" and not any(one.state in KEPT for one in self._others(payment)):
            payment.late = self.now
            return "late"
        self._turn(payment, "refund_pending")
        self.effects.append(("refund", payment.payment_id, None, "all"))
        return "refund_due"

    def _money_went(self, payment: Payment, back: int) -> str:
        order = payment.order
        nothing_left = payment.state == "refund_pending" and back >= payment.captured
        if back <= payment.refunded and not nothing_left:
            return "repeated"
        if payment.state in OPEN + ENDED:
            payment.refunded, payment.touched = back, self.now
            payment.review = order.review = "refund_of_unpaid"
            return "review"
        if back >= payment.captured:
            return self._all_went(payment, back)
        was, late = payment.state, payment.late
        payment.refunded, payment.touched = back, self.now
        if was == "succeeded" or (payment.until is not None and back >= payment.until):
            self._turn(payment, "partially_refunded")
            payment.late = late  # a part that went back does not decide about the rest
        if was in KEPT and order.state in GOODS:
            payment.review = order.review = "refund_outside"
        return "partially_refunded"

    def _all_went(self, payment: Payment, back: int) -> str:
        order, was, pays = payment.order, payment.state, payment.pays
        too_much = back > payment.captured
        asked_for = was == "refund_pending" and payment.until in (None, payment.captured)
        if too_much and was != "suspense" and not asked_for:
            if back <= payment.claimed:
                return "repeated"
            payment.claimed = back
            payment.review = order.review = "refund_above_paid"
            payment.touched = self.now
            return "review"
        outside = pays and not asked_for and order.state in GOODS
        payment.refunded = back
        self._turn(payment, "refunded")
        if too_much or outside:
            payment.review = order.review = "refund_above_paid" if too_much else "refund_outside"
        if was == "suspense":
            self._go_on_without(payment)
        elif pays and order.state in ("paid", "refunding"):
            order.state = "refunded"
            self.stock.take_back(order.order_id, order.units)
        return "review" if outside else "refunded"

    def _go_on_without(self, payment: Payment) -> None:
        """The order will not be paid by this one."""
        order, others = payment.order, self._others(payment)
        if order.state != "paying" or any(one.state in OPEN for one in others):
            return
        if self._over(order) and not any(one.state == "suspense" for one in others):
            self._free(order, "expired")
        else:
            order.state = "reserved"

    # ------------------------------------------------------------ asking the bank, and the outbox

    def _ask(self, order: Order, mood: str) -> str:
        """The open attempts of an order end at the bank, or turn out to be paid."""
        silent = False
        for payment in [one for one in self._of(order.order_id) if one.state in OPEN]:
            account = self.bank.get(payment.payment_id)
            running = payment.lease is not None and payment.lease > self.now
            if mood in ("away", "refuses") or (account is None and running):
                silent = True
            elif account is None:
                self._settle(payment, "cancelled", payment.amount, 0)
            elif account.fact == "pending":
                account.end("cancelled")
                if mood == "lost":
                    silent = True
                else:
                    self._settle(payment, *account.state())
            else:
                self._settle(payment, *account.state())
        if silent:
            return "unreachable"
        if self._suspended(order):
            return "suspended"
        return "paid" if order.state == "paid" else "cancelled"

    def carry_out(self, mood: str) -> None:
        """Everything in the outbox, in its order; what fails stays."""
        waiting, self.effects = self.effects, []
        for effect in waiting:
            kind, subject, asked, key = effect
            done = (
                self._cancel_unpaid(subject, mood)
                if kind == "cancel"
                else self._refund(subject, asked, key, mood)
            )
            if not done:
                self.effects.append(effect)

    def _cancel_unpaid(self, order_id: str, mood: str) -> bool:
        order = self.orders[order_id]
        answer = self._ask(order, mood)
        if answer == "cancelled" and order.state in HELD:
            self._free(order, "cancelled")
        return answer != "unreachable"

    def _refund(self, payment_id: str, asked: tuple[int, int] | None, key: str, mood: str) -> bool:
        payment = self.payments[payment_id]
        if payment.state != "refund_pending":
            return True
        until, part = asked or (payment.captured, 0)
        left = until - payment.refunded
        whole = until >= payment.captured
        key, amount = (f"{key}-{left}", left) if whole else (key, part)
        account = self.bank[payment_id]
        if left <= 0:
            self._settle(payment, "refunded", payment.captured, payment.refunded)
            return True
        if mood == "away":
            return False
        if mood == "refuses" or not account.give(key, amount):
            return self._refund_refused(payment)
        if mood == "lost":
            return False
        self._settle(payment, "refunded", account.captured, account.refunded)
        return True

    def _refund_refused(self, payment: Payment) -> bool:
        payment.review = payment.order.review = "refund_refused"
        payment.touched = self.now
        if payment.until is None:
            return False
        self._turn(payment, "partially_refunded" if payment.refunded else "succeeded")
        if payment.order.state == "refunding":
            payment.order.state = "paid"
        return True

    def give_back_suspended(self) -> None:
        """Nobody has decided for a day."""
        old = [
            one
            for one in self.payments.values()
            if one.state == "suspense" and one.touched + SUSPENDED <= self.now
        ]
        for payment in sorted(old, key=lambda one: one.touched):
            self._return_suspended(payment)

    def _return_suspended(self, payment: Payment) -> None:
        self._turn(payment, "refund_pending")
        self.effects.append(("refund", payment.payment_id, None, "all"))
        self._go_on_without(payment)

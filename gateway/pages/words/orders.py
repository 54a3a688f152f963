"""What is said about orders."""

from __future__ import annotations

from typing import Any

from gateway.pages.words.figures import Figures

ORDER_TONES = {"paid": "go", "reserved": "turn", "paying": "turn", "queued": "wait", "rejected": "stop"}
ORDER_TICKET_TONES = {"reserved": "turn", "paying": "turn", "paid": "in", "queued": ""}


class OrderWords(Figures):
    """Words for the states of an order."""

    def order_word(self, state: str) -> str:
        _ = self._gettext
        return {
            "queued": _("Being decided"),
            "rejected": _("Not accepted"),
            "reserved": _("Waiting for payment"),
            "paying": _("Being paid"),
            "paid": _("Paid"),
            "expired": _("Expired"),
            "cancelled": _("Cancelled"),
            "refunding": _("Being refunded"),
            "refunded": _("Refunded"),
            "fulfilling": _("In preparation"),
            "shipped": _("On its way"),
            "delivered": _("Delivered"),
            "return_requested": _("Return requested"),
            "returned": _("Returned"),
        }.get(state, state)

    def order_tone(self, state: str) -> str:
        return ORDER_TONES.get(state, "")

    def order_ticket_tone(self, state: str) -> str:
        return ORDER_TICKET_TONES.get(state, "rest")

    def order_headline(self, state: str) -> str:
        _ = self._gettext
        return {
            "queued": _("Your order is being decided"),
            "rejected": _("We could not accept this order"),
            "reserved": _("Held for you. Please pay now"),
            "paying": _("Your payment is under way"),
            "paid": _("Paid. It is yours"),
            "expired": _("The time to pay is over"),
            "cancelled": _("This order is cancelled"),
            "refunding": _("Your money is on its way back"),
            "refunded": _("Your money has been returned"),
        }.get(state, self.order_word(state))

    def order_sentence(self, order: Any) -> str:
        """What an order's state means for its buyer, and what comes next."""
        _ = self._gettext
        if order.state == "rejected":
            return self.rejection(order.reason)
        if self.looked_at(order):
            return _(
                "A payment came that is not what the order costs. The shop looks at it: it counts, or it goes back to you within 24 hours. Until then nothing runs out."
            )
        if order.state in ("expired", "cancelled") and self.money_news(order):
            return _("What was held for it went to the next in line.")
        if order.state == "cancelled" and order.seq is None:
            return _("It was cancelled before it was decided. Nothing was held and nothing was charged.")
        return {
            "queued": _(
                "Orders are decided one by one, in the order in which they came in. This takes a moment."
            ),
            "reserved": _("Nobody else can buy it while the time runs."),
            "paying": _("We wait for the payment provider. You may close this page; we send you a mail."),
            "paid": _("Thank you. A confirmation is on its way to you by mail."),
            "expired": _("It was not paid in time, so it went to the next in line. Nothing was charged."),
            "cancelled": _("Nothing was charged. What was held went to the next in line."),
            "refunding": _(
                "The payment provider is giving back what you paid. We send you a mail when it is done."
            ),
            "refunded": _(
                "Your bank may take a few days to show it. The order is over. Your place in the line was used by it, so you cannot join that line again."
            ),
            "fulfilling": _(
                "It is paid and is being made ready for you. We send you a mail when it is on its way."
            ),
            "shipped": _("It has left us and will be with you soon."),
            "delivered": _("It has arrived. If something is wrong with it, you may ask to send it back."),
            "return_requested": _(
                "You asked to send it back. The shop tells you by mail whether it accepts the return."
            ),
            "returned": _("The shop has accepted your return. Your money comes next, and a mail with it."),
        }.get(order.state, "")

    def looked_at(self, order: Any) -> bool:
        """Whether nothing goes on with the order before the shop has decided about money of another amount."""
        money = order.money
        return order.state in ("reserved", "paying") and money is not None and money.under_review > 0

    def money_news(self, order: Any) -> list[str]:
        """What a buyer should know about money that is not simply the price paid: late, doubled, under review, on its way back."""
        _ = self._gettext
        money = order.money
        if money is None:
            return []
        amounts = {
            name: self.money(amount, order.currency)
            for name in money.__struct_fields__
            if (amount := getattr(money, name))
        }
        told = {
            "waiting": _(
                "Your payment of %(amount)s came after the time to pay was over. It takes its turn now: if something is left, the order is yours after all; if not, the money goes back to you by itself."
            ),
            "under_review": _(
                "The shop looks at a payment that came for this order. It goes back to you within 24 hours."
            ),
            "spare_going_back": _(
                "A second payment of %(amount)s came for this order. It is on its way back to you in full; you need not do anything."
            )
            if money.paid
            else _(
                "Your payment of %(amount)s came when this order could not take it any more. It is on its way back to you in full; you need not do anything."
            ),
            "spare_back": _(
                "A payment of %(amount)s that this order could not take has been given back to you."
            ),
            "going_back": _("%(amount)s of what you paid is on its way back to you."),
            "back": _("%(amount)s of what you paid has been given back to you."),
        }
        if order.state in ("refunding", "refunded"):  # the headline says it
            told = {
                name: text for name, text in told.items() if name not in ("going_back", "back", "spare_back")
            }
        if self.looked_at(order):  # the headline says it
            del told["under_review"]
        return [text % {"amount": amounts[name]} for name, text in told.items() if name in amounts]

    def money_key(self, money: Any) -> str:
        """What tells one standing of the money from another; `order.js` makes the same of the answer."""
        return (
            "" if money is None else ",".join(str(getattr(money, name)) for name in money.__struct_fields__)
        )

    def rejection(self, reason: str | None) -> str:
        """Why an order was not accepted, said to its buyer."""
        _ = self._gettext
        words = {
            "sold_out": _("What you wanted was sold out just before it was your order's turn."),
            "over_limit": _("It is more than one buyer may have in this sale."),
            "pass_used": _("This turn in line has bought already."),
            "not_on_sale": _("The sale does not offer one of these products."),
            "bad_address": _("The delivery address cannot be used."),
            "account_closed": _("The account has been closed."),
        }.get(reason or "", _("Something went wrong on our side. We are sorry."))
        return words + " " + _("Nothing was charged, and your turn is still open until its time is up.")

    def reject_word(self, reason: str) -> str:
        """Why an order was not accepted, in a word or two."""
        _ = self._gettext
        return {
            "sold_out": _("sold out"),
            "over_limit": _("more than one buyer may have"),
            "pass_used": _("the turn had bought already"),
            "not_on_sale": _("not offered by the sale"),
            "bad_address": _("an address that cannot be used"),
            "account_closed": _("the account was closed"),
            "failed": _("could not be decided"),
        }.get(reason, reason)

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
        return {
            "queued": _(
                "Orders are decided one by one, in the order in which they came in. This takes a moment."
            ),
            "reserved": _("Nobody else can buy it while the time runs."),
            "paying": _("We wait for the payment provider. You may close this page; we send you a mail."),
            "paid": _("Thank you. A confirmation is on its way to you by mail."),
            "expired": _("It was not paid in time, so it went to the next in line. Nothing was charged."),
            "cancelled": _("Nothing was charged. What was held went to the next in line."),
        }.get(order.state, "")

    def rejection(self, reason: str | None) -> str:
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

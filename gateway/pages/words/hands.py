"""What an operator may do to an order: what the buttons say, what will come of it, and what has come of it."""

from __future__ import annotations

from gateway.pages.words.figures import Figures


class HandWords(Figures):
    """Words for acts on one order."""

    def hand_word(self, action: str) -> str:
        """An act, as its button says it."""
        _ = self._gettext
        return {
            "retry": _("Try what failed again"),
            "accept-payment": _("Take the other amount as the price"),
            "return-payment": _("Give this payment back"),
            "close-review": _("Close the review"),
            "fulfil": _("Begin to prepare it"),
            "ship": _("It has been sent"),
            "deliver": _("It has arrived"),
            "accept-return": _("Accept the return"),
            "refuse-return": _("Refuse the return"),
            "refund": _("Give money back"),
            "resend-mail": _("Send the letter again"),
            "cancel": _("Cancel the order"),
        }.get(action, action)

    def hand_meaning(self, action: str, state: str) -> str:
        """What will come of it, for an order in this state."""
        _ = self._gettext
        if (action, state) == ("cancel", "queued"):
            return _(
                "The order is not decided, and will not be: the lane passes over it and goes on with the next. Nothing was held for it. The buyer gets a letter."
            )
        return {
            "retry": _(
                "Letters, refunds and cancellations of this order that were given up are tried afresh, at once."
            ),
            "accept-payment": _(
                "The order is paid with the amount that came, and its units are sold. The buyer gets a letter."
            ),
            "return-payment": _(
                "The money that came goes back to the buyer in full, who gets a letter. The order does not wait for it any longer."
            ),
            "close-review": _("You have looked at it and nothing is to be done. Nothing moves."),
            "fulfil": _(
                "The order is in preparation. From now on a refund from outside is shown for review."
            ),
            "ship": _("The goods are on their way. The buyer gets a letter."),
            "deliver": _("The goods have arrived. The buyer may ask to send them back."),
            "accept-return": _("The goods are back. The buyer gets a letter; give the money back next."),
            "refuse-return": _("The order counts as delivered again, and the buyer gets a letter."),
            "refund": _(
                "The payment provider is asked to give the money back. The buyer gets a letter once it is on its way."
            ),
            "resend-mail": _(
                "The letter that tells how the order stands goes once more to the buyer’s present address, at most once a minute."
            ),
            "cancel": _(
                "What is held goes to the next in line, and the buyer gets a letter. While a payment is open, the provider is asked first: if money has come by then, the order is paid."
            ),
        }.get(action, "")

    def hand_done(self, action: str) -> str:
        """What has come of it; empty for what is no act."""
        _ = self._gettext
        return {
            "retry": _("Is being tried again."),
            "accept-payment": _("The amount was taken. The order is paid."),
            "return-payment": _("The payment is on its way back."),
            "close-review": _("The review is closed."),
            "fulfil": _("The order is in preparation."),
            "ship": _("The order is on its way."),
            "deliver": _("The order has arrived."),
            "accept-return": _("The return is accepted. The money has not gone back yet."),
            "refuse-return": _("The return is refused."),
            "refund": _("The provider is asked to give the money back."),
            "resend-mail": _("The letter is on its way again."),
            "cancel": _("The order is cancelled, or will be as soon as the provider has answered."),
        }.get(action, "")

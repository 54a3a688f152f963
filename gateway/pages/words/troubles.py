"""What is stuck, and what to do about it."""

from __future__ import annotations

from gateway.pages.words.figures import Figures


class TroubleWords(Figures):
    """Words for things that do not go on by themselves."""

    def stuck_word(self, kind: str) -> str:
        """A kind of stuck things."""
        _ = self._gettext
        return {
            "effect": _("Letters and refunds that were given up"),
            "suspended": _("Money of another amount"),
            "review": _("Orders and payments to review"),
            "unknown_callback": _("Callbacks for payments that nobody knows"),
            "paying_too_long": _("Paying long beyond the hold"),
            "lane": _("Orders that nobody decides"),
            "job": _("Failed jobs"),
        }.get(kind, kind)

    def stuck_advice(self, kind: str) -> str:
        """What to do about them."""
        _ = self._gettext
        return {
            "effect": _("Mend what the error names, a mail server or a provider, and try again."),
            "suspended": _(
                "Compare with the provider’s page. Without a decision it is given back after 24 hours."
            ),
            "review": _("Read the order’s story and compare with the provider’s page."),
            "unknown_callback": _(
                "Asked again for 24 hours by itself. After that find the payment at the provider and give it back there."
            ),
            "paying_too_long": _("See whether the sweeper runs and the provider answers."),
            "lane": _("See whether workers for orders run and the database is quick."),
            "job": _("No order is lost by it. The log of the worker says what went wrong."),
        }.get(kind, "")

    def review_word(self, reason: str) -> str:
        """Why somebody should look at an order or a payment."""
        _ = self._gettext
        return {
            "amount_mismatch": _("Money of another amount came."),
            "currency_mismatch": _("Money of another currency came."),
            "late_success": _("Money came after the hold, and nothing was left for it."),
            "refund_of_unpaid": _("The provider reports a refund of something that was never paid."),
            "refund_above_paid": _("The provider reports a refund above what was paid."),
            "refund_outside": _("The provider gave money back that nobody here had asked for."),
            "refund_refused": _("The provider will not give the money back."),
            "provider_unknown": _("The provider could not be reached for so long that the order was let go."),
        }.get(reason, reason)

    def review_advice(self, reason: str) -> str:
        """What to do about it."""
        _ = self._gettext
        return {
            "amount_mismatch": _("Take it as the price or give it back. After 24 hours it is given back."),
            "currency_mismatch": _(
                "It cannot pay for the order: give it back. After 24 hours it is given back."
            ),
            "late_success": _(
                "It is on its way back. See in the story whether it arrived, then close the review."
            ),
            "refund_of_unpaid": _("Compare with the provider’s page, then close the review."),
            "refund_above_paid": _("Compare with the provider’s page, then close the review."),
            "refund_outside": _("The goods have left the shelf already: see that they come back."),
            "refund_refused": _("Ask the provider why, give it back there or try again here."),
            "provider_unknown": _("Money that comes yet takes its turn. Then close the review."),
        }.get(reason, "")

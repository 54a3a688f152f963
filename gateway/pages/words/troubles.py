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

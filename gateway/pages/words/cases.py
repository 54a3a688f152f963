"""How the story of an order reads."""

from __future__ import annotations

from typing import Any

from gateway.pages.words.facts import FactWords
from gateway.pages.words.records import RecordWords


class CaseWords(FactWords, RecordWords):
    """Words for what happened to an order."""

    def moment_word(self, moment: Any) -> str:
        """What happened, in a few words."""
        _ = self._gettext
        what: str = moment.what
        match moment.kind:
            case "turn":
                return self._turn_word(what)
            case "order":
                return {
                    "accepted": _("Order accepted"),
                    "decided": _("Order decided: units held"),
                    "rejected": _("Order decided: not accepted"),
                    "cancelled_before": _("Cancelled before it was decided"),
                    "changed": _("Latest state of the order"),
                    "attempt_failed": _("Deciding failed"),
                }.get(what, what)
            case "stock":
                return _("Stock ledger: %(reason)s") % {"reason": self._reason_word(what)}
            case "reservation":
                return _("Reservation: %(state)s") % {"state": self._unit_word(what)}
            case "payment":
                return _("Payment: %(state)s") % {"state": self.payment_word(what)}
            case "callback":
                return _("Callback of the provider: %(verdict)s") % {"verdict": self._verdict_word(what)}
            case "effect":
                return self._effect_word(what, str(moment.detail.get("effect", "")))
            case _:
                return self.audit_word(what)

    def payment_word(self, state: str) -> str:
        """How a payment stands."""
        _ = self._gettext
        return {
            "created": _("begun"),
            "pending": _("waits for the buyer"),
            "succeeded": _("the money came"),
            "failed": _("did not go through"),
            "cancelled": _("cancelled"),
            "suspense": _("money of another amount, kept apart"),
            "partially_refunded": _("a part is given back"),
            "refund_pending": _("on its way back"),
            "refunded": _("given back"),
        }.get(state, state)

    def _unit_word(self, state: str) -> str:
        _ = self._gettext
        return {
            "held": _("held"),
            "committed": _("sold"),
            "released": _("free again"),
            "returned": _("given back"),
        }.get(state, state)

    def _reason_word(self, reason: str) -> str:
        _ = self._gettext
        return {
            "hold": _("held"),
            "paid": _("sold"),
            "late": _("sold, with money that came late"),
            "expired": _("free again, not paid in time"),
            "cancelled": _("free again, cancelled"),
            "refunded": _("free again, money given back"),
        }.get(reason, reason)

    def _verdict_word(self, verdict: str) -> str:
        _ = self._gettext
        return {
            "paid": _("the order is paid"),
            "pending": _("waits for the buyer"),
            "failed": _("did not go through"),
            "cancelled": _("cancelled"),
            "suspended": _("another amount, kept apart"),
            "late": _("came late, takes its turn"),
            "refund_due": _("goes back, the order cannot take it"),
            "refunded": _("given back"),
            "partially_refunded": _("a part is given back"),
            "review": _("recorded, somebody should look"),
            "repeated": _("known already, no effect"),
            "stale": _("older than what is known, no effect"),
            "recorded": _("recorded, of no use here"),
            "unknown_payment": _("of a payment that nobody knows, kept"),
        }.get(verdict, verdict)

    def _turn_word(self, event: str) -> str:
        _ = self._gettext
        return {
            "call": _("Called"),
            "claim": _("Checkout begun"),
            "renew": _("Checkout time renewed"),
            "miss": _("Turn missed"),
            "return": _("Back in the line after a missed turn"),
            "move": _("Place moved to the account"),
            "lapse": _("Turn lapsed"),
            "free": _("Slot freed"),
        }.get(event, event)

    def _effect_word(self, state: str, effect: str) -> str:
        _ = self._gettext
        named = {"mail": _("Letter"), "refund": _("Refund"), "cancel": _("Cancellation at the provider")}.get(
            effect, effect
        )
        become = {"done": _("done"), "dead": _("given up"), "waiting": _("under way")}.get(state, state)
        return f"{named}: {become}"

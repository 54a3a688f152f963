"""The words of states, times, amounts and refusals, in one language. Pure: values in, text out; knows no request and no page.

The English source stands here and in the templates; `gateway/locales` holds the translations. One `Words` per language.
"""

from __future__ import annotations

from gateway.pages.words.cases import CaseWords
from gateway.pages.words.figures import iso, share
from gateway.pages.words.hands import HandWords
from gateway.pages.words.line import UNBOUGHT, LineWords, face_of
from gateway.pages.words.refusals import RefusalWords, fault_of
from gateway.pages.words.sales import SaleWords
from gateway.pages.words.troubles import TroubleWords

__all__ = ["UNBOUGHT", "Words", "face_of", "fault_of", "iso", "share"]


class Words(SaleWords, LineWords, CaseWords, HandWords, TroubleWords, RefusalWords):
    """Everything that is said in one language; the public methods are the templates' filters."""

    def links(self, *, operator: bool, signed_in: bool) -> list[tuple[str, str]]:
        """The main navigation: (path, word)."""
        _ = self._gettext
        if operator:
            if not signed_in:
                return [("/operator/login", _("Log in"))]
            return [
                ("/operator", _("Sale windows")),
                ("/operator/orders", _("Orders")),
                ("/operator/stock", _("Stock")),
                ("/operator/stuck", _("Stuck")),
                ("/operator/audit", _("History")),
            ]
        if signed_in:
            return [("/orders", _("Orders")), ("/cart", _("Cart")), ("/me", _("My data"))]
        return [("/login", _("Log in")), ("/signup", _("Sign up"))]

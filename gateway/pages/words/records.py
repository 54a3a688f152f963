"""How the list of who did what reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.pages.words.figures import Figures


class RecordWords(Figures):
    """Words for what operators have done."""

    def field_word(self, field: str) -> str:
        """The name of a field of a sale's form; one of a product carries the product's id."""
        _ = self._gettext
        words = {
            "title": _("Title"),
            "slug": _("Short name in the address"),
            "mode": _("Order of the line"),
            "lobby_opens_at": _("Lobby opens"),
            "opens_at": _("Sale starts"),
            "closes_at": _("Sale ends"),
            "calls_per_minute": _("Calls a minute"),
            "capacity": _("Places in checkout"),
            "turn_window_s": _("Turn window, seconds"),
            "comeback_s": _("Coming back, seconds"),
            "hold_s": _("Hold time, seconds"),
            "pass_s": _("Time in checkout, seconds"),
            "over_call_limit": _("Over-call limit"),
            "guests": _("Devices without an account"),
            "challenge": _("Only with a solved challenge"),
            "message_ko": "한국어",
            "message_en": "English",
            "items": _("Products and stock"),
            "allotted": _("Allotted units"),
            "limit": _("Limit for each buyer"),
            "price": _("Price in this sale"),
        }
        name, dash, product_id = field.partition("-")
        return f"{words.get(name, name)} · {product_id}" if dash else words.get(field, field)

    def audit_word(self, action: str) -> str:
        """An action as the list names it."""
        _ = self._gettext
        return {
            "create-sale": _("Created the sale window"),
            "change-sale": _("Changed the sale window"),
            "publish": _("Published"),
            "open": _("Opened before its time"),
            "pause": _("Paused the calls"),
            "halt": _("Halted everything"),
            "resume": _("Resumed"),
            "drain": _("Closed the line to newcomers"),
            "close": _("Closed the sale"),
            "cancel": _("Cancelled the sale"),
            "set-rate": _("Set the calls a minute"),
            "set-capacity": _("Set the places in checkout"),
            "announce": _("Set the message"),
            "extend-holds": _("Lengthened all holds"),
            "set-allotment": _("Set the units of a product"),
            "adjust-on-hand": _("Put the count of a shelf right"),
            "retry": _("Had something tried again"),
            "export-persons": _("Took orders along with their buyers’ data"),
            "open-person": _("Looked at the buyer’s data"),
            "cancel-order": _("Cancelled the order"),
            "refund": _("Gave money back"),
            "resend-mail": _("Sent the letter again"),
            "fulfil": _("Began to prepare the order"),
            "ship": _("Sent the goods"),
            "deliver": _("Noted that the goods arrived"),
            "accept-return": _("Accepted the return"),
            "refuse-return": _("Refused the return"),
            "accept-payment": _("Took another amount as the price"),
            "return-payment": _("Gave a payment back"),
            "close-review": _("Closed the review"),
            "find-buyer": _("Looked for a buyer by e-mail"),
        }.get(action, action)

    def audit_detail(self, detail: Mapping[str, Any]) -> str:
        """What is worth knowing beside the action, on one line."""
        _ = self._gettext
        said = [str(detail[key]) for key in ("product_id", "calls_per_minute", "capacity") if key in detail]
        before, after = detail.get("from"), detail.get("to")
        if isinstance(before, int) and isinstance(after, int):
            said.append(f"{self.number(before)} → {self.number(after)}")
        if "amount" in detail and "currency" in detail:
            said.append(self.money(detail["amount"], detail["currency"]))
        if "minutes" in detail:
            said.append(self.duration(60 * detail["minutes"]))
        if "holds" in detail:
            said.append(_("%(number)s holds") % {"number": self.number(detail["holds"])})
        said += [f"“{detail[key]}”" for key in ("reason", "message_ko", "message_en") if detail.get(key)]
        if detail.keys() == {"slug", "title"}:
            return str(detail["title"])
        known = {"product_id", "calls_per_minute", "capacity", "from", "to", "minutes", "holds", "reason"}
        known |= {"amount", "currency"}
        fields = [key for key in detail if key not in known and not key.startswith("message_")]
        return " · ".join(said or [self.field_word(field) for field in fields])

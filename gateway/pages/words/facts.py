"""The facts beside what happened to an order: what each is called, and how its value reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.pages.words.orders import OrderWords
from gateway.pages.words.troubles import TroubleWords
from shop.orders.rules import OrderState

# Programs use these; on the page another fact, or the moment's own word, says the same.
UNSAID = frozenset({"currency", "captured_currency", "effect", "operator_id", "sale_item_id"})
OF_MACHINES = frozenset(
    {"claim", "renew", "move"}
)  # what the call log keeps of these turns is there for recovery
AMOUNTS = frozenset({"amount", "captured", "refunded"})
NAMES = frozenset({"payment_id", "provider_ref", "event_type", "event_id", "outbox_id", "last_error"})


@dataclass(frozen=True, slots=True)
class Fact:
    """`name` is what it is called. Its value is `text`, or `at` in the reader's own zone; `code`: to be read letter by letter."""

    name: str
    text: str = ""
    at: datetime | None = None
    code: bool = False


class FactWords(OrderWords, TroubleWords):
    """Words for facts."""

    def moment_facts(self, moment: Any) -> list[Fact]:
        """The facts of one moment, in the order in which the books have them."""
        return list(self._facts(moment.kind, moment.what, moment.detail))

    def _facts(self, kind: str, what: str, detail: Mapping[str, Any]) -> Iterator[Fact]:
        names, currency = self._names(), str(detail.get("currency", ""))
        came_in = str(detail.get("captured_currency", currency))
        for key, value in detail.items():
            name = names.get(key, key)
            if key in UNSAID or (key == "detail" and what in OF_MACHINES):
                continue
            if key in AMOUNTS and currency:
                if value or key == "amount":
                    yield Fact(name, self.money(int(value), currency if key == "amount" else came_in))
            elif key == "began_at":
                yield Fact(name, at=datetime.fromisoformat(str(value)))
            elif key in ("held", "sold"):
                if value:
                    yield Fact(name, f"{'+' if value > 0 else '−'}{self.number(abs(value))}")
            elif isinstance(value, int) and key not in NAMES:
                yield Fact(name, self.number(value))
            elif key in NAMES:
                yield Fact(name, str(value), code=True)
            else:
                yield Fact(name, self._value(kind, key, str(value)))

    def _names(self) -> dict[str, str]:
        _ = self._gettext
        return {
            "number": _("Number in line"),
            "turn": _("Turn"),
            "detail": _("Because"),
            "accepted_no": _("Accepted as number"),
            "seq": _("Decided as number"),
            "reason": _("Reason"),
            "state": _("State"),
            "review_reason": _("To review"),
            "attempts": _("Attempts"),
            "product": _("Product"),
            "held": _("Held"),
            "sold": _("Sold"),
            "quantity": _("Quantity"),
            "actor": _("By"),
            "payment_id": _("Payment"),
            "provider": _("Provider"),
            "provider_ref": _("Number at the provider"),
            "amount": _("Amount"),
            "captured": _("Came in"),
            "refunded": _("Given back"),
            "began_at": _("Begun"),
            "event_type": _("What the provider called it"),
            "event_id": _("Number of the callback"),
            "outbox_id": _("Number among the letters and calls"),
            "name": _("About"),
            "last_error": _("Last error"),
            "operator": _("Operator"),
            "from": _("Before"),
            "to": _("After"),
            "was": _("Was to review"),
            "effects": _("Tried again"),
        }

    def _value(self, kind: str, key: str, value: str) -> str:
        """A word of the books in plain words; what people have written stays as it is."""
        match key:
            case "review_reason" | "was":
                return self.review_word(value)
            case "state" | "from" | "to":
                return self.order_word(value)
            case "name":
                return self._letter_about(value)
            case "actor":
                return self._actor(value)
            case "detail":
                return self._turn_reason(value)
            case "reason" if kind == "order":
                return self.reject_word(value)
            case "reason" if kind == "reservation":
                return self._release(value)
            case _:
                return value

    def _actor(self, actor: str) -> str:
        _ = self._gettext
        whose, _colon, name = actor.partition(":")
        known = {
            "buyer": _("the buyer"),
            "drain": _("the lane"),
            "sweep": _("the sweeper, by itself"),
            "operator": _("an operator"),
            "provider": _("the provider"),
        }
        return f"{known[whose]} ({name})" if whose == "provider" and name else known.get(whose, actor)

    def _turn_reason(self, why: str) -> str:
        _ = self._gettext
        return {
            "paid": _("the order is paid"),
            "ended": _("the order ended without a purchase"),
            "left": _("the place was given up"),
            "turn_over": _("the time was up"),
            "unseen": _("nobody looked at the page"),
            "comeback_over": _("the time to come back was up"),
            "pass_unused": _("nothing was ordered in time"),
        }.get(why, why)

    def _letter_about(self, name: str) -> str:
        _ = self._gettext
        known = {
            "returned": _("a payment that goes back"),
            "partly": _("a part that was given back"),
            "again": _("sent again by an operator"),
            "return": _("a return that was refused"),
        }
        return self.order_word(name) if name in list(OrderState) else known.get(name.partition("-")[0], name)

    def _release(self, reason: str) -> str:
        _ = self._gettext
        return {
            "paid": _("paid"),
            "expired": _("not paid in time"),
            "cancelled": _("cancelled"),
            "refunded": _("money given back"),
        }.get(reason, reason)

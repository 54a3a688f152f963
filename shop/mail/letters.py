"""What a letter is before and after it is written.

A `Letter` names an account, an occasion and the facts; it holds no address, so that an erased account gets no letter and a
changed address gets the next one. A `Mail` is the written text on its way to a mail server. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Occasion(StrEnum):
    """Why we write; each has one template per language."""

    VERIFY_CODE = "verify_code"
    ALREADY_REGISTERED = "already_registered"
    RESET_CODE = "reset_code"
    ORDER_RESERVED = "order_reserved"
    ORDER_PAID = "order_paid"
    ORDER_PAID_LATE = "order_paid_late"
    ORDER_EXPIRED = "order_expired"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_CANCELLED_BY_SHOP = "order_cancelled_by_shop"
    ORDER_REFUNDED = "order_refunded"
    ORDER_PARTLY_REFUNDED = "order_partly_refunded"
    ORDER_SHIPPED = "order_shipped"
    RETURN_ACCEPTED = "return_accepted"
    RETURN_REFUSED = "return_refused"
    PAYMENT_RETURNED = "payment_returned"
    ORDER_REJECTED = "order_rejected"


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to be written and sent; `facts` are plain JSON values (times as RFC 3339 text)."""

    account_id: str
    occasion: Occasion
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """A written mail. `key` is the same each time the same letter is sent, so that mail programs can drop a repeat."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    locale: str
    key: str


class Mailer(Protocol):
    """Takes one mail and returns once another system is responsible for it; raises `shop.mail.effects.EffectFailed`."""

    def send(self, mail: Mail) -> None:
        """Send it now. May block for a minute; never called inside a transaction."""


def order_letter(
    occasion: Occasion,
    account_id: str,
    *,
    order_id: str,
    sale_title: str,
    lines: Sequence[tuple[str, int]] = (),
    total: int | None = None,
    currency: str | None = None,
    hold_expires_at: datetime | None = None,
    reason: str | None = None,
    amount: int | None = None,
) -> Letter:
    """A letter about an order. `lines` are (product title, quantity), `total` and `amount` (what was given back) minor units of
    `currency`, `reason` the word of a rejection."""
    facts = {
        "order_id": order_id,
        "sale_title": sale_title,
        "lines": [{"title": title, "quantity": quantity} for title, quantity in lines],
        "total": total,
        "currency": currency,
        "hold_expires_at": hold_expires_at.isoformat() if hold_expires_at else None,
        "reason": reason,
        "amount": amount,
    }
    return Letter(account_id, occasion, facts)

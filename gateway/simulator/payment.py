"""A payment as the stand-in knows it, and what its callbacks say of it. Times are unix milliseconds."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.simulator.outcomes import UNDECIDED, Bank, Status


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the stand-in keeps it; amounts in minor units."""

    id: str
    token: str
    reference: str
    amount: int
    currency: str
    description: str
    return_url: str
    expires_at_ms: int
    created_at_ms: int
    status: Status
    captured: int
    refunded: int
    bank: Bank | None
    bank_answers_at_ms: int | None

    @property
    def undecided(self) -> bool:
        return self.status in UNDECIDED


def new_payment(
    reference: str, amount: int, currency: str, description: str, return_url: str, expires_at_ms: int
) -> Payment:
    """A payment that waits for its buyer, with a fresh id and an unguessable page address."""
    return Payment(
        id="sim_" + secrets.token_hex(10),
        token=secrets.token_urlsafe(24),
        reference=reference,
        amount=amount,
        currency=currency,
        description=description,
        return_url=return_url,
        expires_at_ms=expires_at_ms,
        created_at_ms=now_ms(),
        status=Status.OPEN,
        captured=0,
        refunded=0,
        bank=None,
        bank_answers_at_ms=None,
    )


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def event(payment: Payment, event_type: str) -> str:
    """The body of a callback that tells of this payment as it is now: JSON in the shape of Standard Webhooks."""
    paid = event_type in ("payment.succeeded", "payment.refunded")
    data = {
        "payment": payment.id,
        "reference": payment.reference,
        "amount": payment.captured if paid else payment.amount,
        "currency": payment.currency,
        "refunded": payment.refunded,
    }
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": event_type, "timestamp": at, "data": data})

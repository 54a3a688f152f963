"""What each choice on the pay page makes of a payment, and which callbacks it sends when.

Pure. Knows neither HTTP nor the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where a payment stands at the provider."""

    OPEN = "open"  # waits for the buyer
    PROCESSING = "processing"  # waits for the bank
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNDECIDED = frozenset({Status.OPEN, Status.PROCESSING})


class Outcome(StrEnum):
    """The choices of the pay page."""

    APPROVE = "approve"
    DECLINE = "decline"
    SLOW = "slow"
    DUPLICATE = "duplicate"
    LATE = "late"
    REORDERED = "reordered"
    WRONG_AMOUNT = "wrong_amount"
    SILENT = "silent"


class Bank(StrEnum):
    """When the bank answers a payment that is being processed."""

    SOON = "soon"  # after `slow_s`, unless it was cancelled before
    TOO_LATE = "too_late"  # `late_s` after the payment's end or its cancellation, come what may


@dataclass(frozen=True, slots=True)
class Sending:
    """A callback to send: its type, the seconds to wait, and whether it repeats the event before it, id and all."""

    event_type: str
    after_s: float = 0.0
    same_event: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a payment: its status, what was captured (minor units), the bank's answer to come, the callbacks."""

    status: Status
    captured: int = 0
    bank: Bank | None = None
    sendings: tuple[Sending, ...] = ()


SUCCEEDED = Sending("payment.succeeded")
PENDING = Sending("payment.pending")


def plan(outcome: Outcome, amount: int) -> Plan:
    """The consequence of a choice for a payment of `amount` minor units."""
    match outcome:
        case Outcome.APPROVE:
            return Plan(Status.SUCCEEDED, amount, None, (SUCCEEDED,))
        case Outcome.DECLINE:
            return Plan(Status.FAILED, 0, None, (Sending("payment.failed"),))
        case Outcome.SLOW:
            return Plan(Status.PROCESSING, 0, Bank.SOON, (PENDING,))
        case Outcome.DUPLICATE:
            again = Sending("payment.succeeded", 0.2, same_event=True)
            another_id = Sending("payment.succeeded", 0.4)
            return Plan(Status.SUCCEEDED, amount, None, (SUCCEEDED, again, another_id))
        case Outcome.LATE:
            return Plan(Status.PROCESSING, 0, Bank.TOO_LATE, (PENDING,))
        case Outcome.REORDERED:
            older = (Sending("payment.pending", 0.3), Sending("payment.failed", 0.6))
            return Plan(Status.SUCCEEDED, amount, None, (SUCCEEDED, *older))
        case Outcome.WRONG_AMOUNT:
            wrong = amount - 1 if amount > 1 else amount + 1
            return Plan(Status.SUCCEEDED, wrong, None, (SUCCEEDED,))
        case Outcome.SILENT:
            return Plan(Status.SUCCEEDED, amount)

"""The words and the moves of a payment: what it may become, what a provider says of it, what follows, and every refusal. Pure.

What a report means is decided in `ruling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shop.errors import IllegalMove, Refused, Unavailable
from shop.orders.rules import OrderState

# ---------------------------------------------------------------- refusals


class BadSignature(Refused):
    """A callback whose signature headers are missing, malformed, too old, too new, or signed by somebody else."""


class Unreadable(Refused):
    """A callback that was signed by the provider and whose body cannot be read."""


class BodyTooLarge(Refused):
    """A callback beyond `MAX_CALLBACK_BYTES`."""


class UnknownProvider(Refused):
    """No payment provider of this name is configured."""


class KeyReused(Refused):
    """The Idempotency-Key was used before with another body."""


class StillRunning(Refused):
    """A start of this payment is under way; `retry_after_s` says when to ask again."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("this payment is being started")
        self.retry_after_s = retry_after_s


class StaleRefund(Refused):
    """More is back by now than whoever asks for a refund has seen."""


class UnderReview(IllegalMove):
    """Money of another amount arrived for this order; nothing more is taken until the shop has looked at it."""


class ProviderUnavailable(Unavailable):
    """The provider gave no answer, or none that says what became of the call."""


class ProviderRefused(Unavailable):
    """The provider answered that it will not do this, however often it is asked."""


# ---------------------------------------------------------------- states


class PaymentState(StrEnum):
    """The life of one attempt to pay."""

    CREATED = "created"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUSPENSE = "suspense"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUND_PENDING = "refund_pending"
    REFUNDED = "refunded"


_P = PaymentState

MOVES: Mapping[PaymentState, frozenset[PaymentState]] = {
    _P.CREATED: frozenset({_P.PENDING, _P.SUCCEEDED, _P.FAILED, _P.CANCELLED, _P.SUSPENSE}),
    _P.PENDING: frozenset({_P.SUCCEEDED, _P.FAILED, _P.CANCELLED, _P.SUSPENSE}),
    _P.FAILED: frozenset({_P.SUCCEEDED, _P.SUSPENSE}),
    _P.CANCELLED: frozenset({_P.SUCCEEDED, _P.SUSPENSE}),
    _P.SUSPENSE: frozenset({_P.SUCCEEDED, _P.REFUND_PENDING}),
    _P.SUCCEEDED: frozenset({_P.PARTIALLY_REFUNDED, _P.REFUND_PENDING, _P.REFUNDED}),
    _P.PARTIALLY_REFUNDED: frozenset({_P.REFUND_PENDING, _P.REFUNDED}),
    _P.REFUND_PENDING: frozenset({_P.REFUNDED, _P.SUCCEEDED, _P.PARTIALLY_REFUNDED}),
    _P.REFUNDED: frozenset(),
}

OPEN = frozenset({_P.CREATED, _P.PENDING})
ENDED_UNPAID = frozenset({_P.FAILED, _P.CANCELLED})
UNPAID = OPEN | ENDED_UNPAID
KEPT = frozenset({_P.SUCCEEDED, _P.PARTIALLY_REFUNDED})  # at rest, these pay for the order

# Orders whose goods are being sent, have left, or are back.
FULFILLED = frozenset(
    {
        OrderState.FULFILLING,
        OrderState.SHIPPED,
        OrderState.DELIVERED,
        OrderState.RETURN_REQUESTED,
        OrderState.RETURNED,
    }
)


def move(current: PaymentState, wanted: PaymentState) -> PaymentState:
    """The wanted state, if the table has that move. Raises IllegalMove naming both."""
    if wanted not in MOVES[current]:
        raise IllegalMove("payment", current, wanted)
    return wanted


# ---------------------------------------------------------------- what is said and what follows


class Fact(StrEnum):
    """What a provider says became of a payment."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class Report:
    """A provider's word on one payment: `amount` asked or captured, `refunded` in all so far, minor units of `currency`."""

    fact: Fact
    amount: int
    currency: str
    refunded: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """The payment as the shop knows it; amounts in minor units.

    `refund_until`: what shall be back in all when a refund is pending that the shop has asked for; None: all of it, since the money
    has no order. `claimed`: the most that was reported to be back where that is above what was paid; the operator has been told.
    `foreign`: what was captured is money of another currency, in minor units of that one.
    """

    state: PaymentState
    amount: int
    currency: str
    captured: int = 0
    refunded: int = 0
    refund_until: int | None = None
    claimed: int = 0
    foreign: bool = False

    @property
    def pays(self) -> bool:
        """The order has its goods for this money: it is at rest, or the shop was asked to give some of it back."""
        return self.state in KEPT or (
            self.state is PaymentState.REFUND_PENDING and self.refund_until is not None
        )

    @property
    def goes_back(self) -> bool:
        """All of this money is on its way back to the buyer."""
        return self.state is PaymentState.REFUND_PENDING and self.refund_until in (None, self.captured)


@dataclass(frozen=True, slots=True)
class Purchase:
    """The order behind the payment: whether its hold time is over, and how its other attempts stand."""

    state: OrderState
    hold_over: bool
    other_open: bool = False
    other_suspended: bool = False
    other_kept: bool = False


class Verdict(StrEnum):
    """What became of a report; closed: whatever arrives gets one of these, or a refusal of this module."""

    PAID = "paid"
    PENDING = "pending"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"  # another amount or currency: kept apart until the shop has looked at it
    LATE = "late"  # the order had expired: the lane decides whether there are still units for it
    REFUND_DUE = "refund_due"  # the order is cancelled or already paid: the money goes back
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"
    REVIEW = "review"  # recorded for the operator, nothing was moved on its account
    REPEATED = "repeated"  # this was known
    STALE = "stale"  # something of a higher rank was known
    RECORDED = "recorded"  # genuine, of a type this shop has no use for
    UNKNOWN_PAYMENT = "unknown_payment"  # genuine, kept and tried again


class Review(StrEnum):
    """Why an operator should look."""

    AMOUNT_MISMATCH = "amount_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    LATE_SUCCESS = "late_success"
    REFUND_OF_UNPAID = "refund_of_unpaid"
    REFUND_ABOVE_PAID = "refund_above_paid"
    REFUND_OUTSIDE = "refund_outside"
    REFUND_REFUSED = "refund_refused"


class Fate(StrEnum):
    """What becomes of the order and its stock."""

    STAYS = "stays"
    PAID = "paid"  # the held units are sold
    RESERVED = "reserved"  # may pay again; the hold stands
    EXPIRED = "expired"  # the held units are free
    REFUNDED = "refunded"  # the sold units are free
    KEPT = "kept"  # no refund after all: paid as before


@dataclass(frozen=True, slots=True)
class Ruling:
    """The consequence of a report. `moves` are made one after the other; None leaves an amount as it is. `currency`: that of what was
    captured, where it is another than was asked for.
    """

    verdict: Verdict
    moves: tuple[PaymentState, ...] = ()
    order: Fate = Fate.STAYS
    captured: int | None = None
    refunded: int | None = None
    review: Review | None = None
    claimed: int | None = None
    currency: str | None = None

    @property
    def refund_due(self) -> bool:
        """The provider has to be asked to give the money back."""
        return self.moves[-1:] == (PaymentState.REFUND_PENDING,)

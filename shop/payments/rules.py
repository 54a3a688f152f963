"""What a payment may become, and what a provider's report about it means for the payment, its order and its stock.

Pure: snapshots and a report in, a `Ruling` out. The rank of the states decides, never the order in which reports arrive, so a
report that comes twice, late or before an older one ends in the same place. Knows neither tables nor providers nor time.
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


def move(current: PaymentState, wanted: PaymentState) -> PaymentState:
    """The wanted state, if the table has that move. Raises IllegalMove naming both."""
    if wanted not in MOVES[current]:
        raise IllegalMove("payment", current, wanted)
    return wanted


# ---------------------------------------------------------------- reports and rulings


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


def rule(attempt: Attempt, purchase: Purchase, report: Report) -> Ruling:
    """What the report means. Total: every report on every attempt of every order has an answer."""
    match report.fact:
        case Fact.SUCCEEDED:
            return _success(attempt, purchase, report)
        case Fact.PENDING:
            return _pending(attempt)
        case Fact.FAILED:
            return _ended_unpaid(attempt, purchase, PaymentState.FAILED, Verdict.FAILED)
        case Fact.CANCELLED:
            return _ended_unpaid(attempt, purchase, PaymentState.CANCELLED, Verdict.CANCELLED)
        case Fact.REFUNDED:
            return _refund(attempt, purchase, report)


def give_back(attempt: Attempt, purchase: Purchase) -> Ruling:
    """The operator has not decided on suspended money in time: it goes back, and the order waits for it no longer."""
    if attempt.state is not PaymentState.SUSPENSE:
        return Ruling(Verdict.STALE)
    return Ruling(Verdict.REFUND_DUE, (PaymentState.REFUND_PENDING,), _without_this_attempt(purchase))


def _success(attempt: Attempt, purchase: Purchase, report: Report) -> Ruling:
    if attempt.state not in UNPAID:
        return _refund(attempt, purchase, report)
    captured, back = report.amount, max(attempt.refunded, report.refunded)
    if back and back >= captured:  # the money came and went before this shop heard of it
        moves = (PaymentState.SUCCEEDED, PaymentState.REFUNDED)
        return Ruling(Verdict.REFUNDED, moves, _without_this_attempt(purchase), captured, back)
    if (captured, report.currency) != (attempt.amount, attempt.currency):
        return _suspend(attempt, report, back)
    partial = (PaymentState.PARTIALLY_REFUNDED,) if back else ()
    if purchase.state in (OrderState.RESERVED, OrderState.PAYING):
        return Ruling(Verdict.PAID, (PaymentState.SUCCEEDED, *partial), Fate.PAID, captured, back)
    if purchase.state is OrderState.EXPIRED and not purchase.other_kept:
        return Ruling(Verdict.LATE, (PaymentState.SUCCEEDED, *partial), Fate.STAYS, captured, back)
    moves = (PaymentState.SUCCEEDED, PaymentState.REFUND_PENDING)
    return Ruling(Verdict.REFUND_DUE, moves, Fate.STAYS, captured, back)


def _suspend(attempt: Attempt, report: Report, back: int) -> Ruling:
    """Not what was asked for: kept apart, and somebody shall look. The figure alone would not tell money of another currency."""
    foreign = report.currency != attempt.currency
    return Ruling(
        Verdict.SUSPENDED,
        (PaymentState.SUSPENSE,),
        captured=report.amount,
        refunded=back,
        review=Review.CURRENCY_MISMATCH if foreign else Review.AMOUNT_MISMATCH,
        currency=report.currency if foreign else None,
    )


def refuse_late(attempt: Attempt) -> Ruling:
    """There are no units left for an order whose money came late: it goes back."""
    move(attempt.state, PaymentState.REFUND_PENDING)
    return Ruling(Verdict.REFUND_DUE, (PaymentState.REFUND_PENDING,), review=Review.LATE_SUCCESS)


def accept_suspended(attempt: Attempt, purchase: Purchase) -> Ruling:
    """The operator takes another amount as the price. Raises IllegalMove unless the order still holds its units, and for money of
    another currency: the books of an order know its own only.
    """
    move(attempt.state, PaymentState.SUCCEEDED)
    if attempt.foreign:
        raise IllegalMove("payment in another currency", attempt.state, PaymentState.SUCCEEDED)
    if purchase.state not in (OrderState.RESERVED, OrderState.PAYING):
        raise IllegalMove("order", purchase.state, OrderState.PAID)
    partial = (PaymentState.PARTIALLY_REFUNDED,) if attempt.refunded else ()
    return Ruling(Verdict.PAID, (PaymentState.SUCCEEDED, *partial), Fate.PAID)


def refund_refused(attempt: Attempt, purchase: Purchase) -> Ruling:
    """The provider will not give the money back. What the shop asked for is off; money without an order waits for a look."""
    if attempt.state is not PaymentState.REFUND_PENDING:
        return Ruling(Verdict.STALE)
    if attempt.refund_until is None:
        return Ruling(Verdict.REVIEW, review=Review.REFUND_REFUSED)
    back = PaymentState.PARTIALLY_REFUNDED if attempt.refunded else PaymentState.SUCCEEDED
    fate = Fate.KEPT if purchase.state is OrderState.REFUNDING else Fate.STAYS
    return Ruling(Verdict.REVIEW, (back,), fate, review=Review.REFUND_REFUSED)


def _pending(attempt: Attempt) -> Ruling:
    match attempt.state:
        case PaymentState.CREATED:
            return Ruling(Verdict.PENDING, (PaymentState.PENDING,))
        case PaymentState.PENDING:
            return Ruling(Verdict.REPEATED)
        case _:
            return Ruling(Verdict.STALE)


def _ended_unpaid(attempt: Attempt, purchase: Purchase, ended: PaymentState, verdict: Verdict) -> Ruling:
    if attempt.state in OPEN:
        return Ruling(verdict, (ended,), _without_this_attempt(purchase))
    return Ruling(Verdict.REPEATED if attempt.state in ENDED_UNPAID else Verdict.STALE)


def _without_this_attempt(purchase: Purchase) -> Fate:
    """What becomes of an order that this attempt will not pay for."""
    if purchase.state is not OrderState.PAYING or purchase.other_open:
        return Fate.STAYS
    return Fate.EXPIRED if purchase.hold_over and not purchase.other_suspended else Fate.RESERVED


def _refund(attempt: Attempt, purchase: Purchase, report: Report) -> Ruling:
    back = report.refunded
    # Where nothing was captured, nothing has to come back for all of it to be back.
    if back <= attempt.refunded and not (attempt.goes_back and back >= attempt.captured):
        return Ruling(Verdict.REPEATED)
    if attempt.captured < back <= attempt.claimed and not attempt.goes_back:
        return Ruling(Verdict.REPEATED)  # an operator may have settled it
    if attempt.state in UNPAID:
        return Ruling(Verdict.REVIEW, refunded=back, review=Review.REFUND_OF_UNPAID)
    if back < attempt.captured:
        return _partial_refund(attempt, purchase, back)
    above = back > attempt.captured
    if above and attempt.state is not PaymentState.SUSPENSE and not attempt.goes_back:
        return Ruling(Verdict.REVIEW, claimed=back, review=Review.REFUND_ABOVE_PAID)
    outside = purchase.state in FULFILLED and attempt.pays
    review = Review.REFUND_ABOVE_PAID if above else Review.REFUND_OUTSIDE if outside else None
    return Ruling(
        Verdict.REVIEW if outside else Verdict.REFUNDED,
        _to_refunded(attempt),
        _fate_of_refunded(attempt, purchase),
        refunded=back,
        review=review,
    )


def _partial_refund(attempt: Attempt, purchase: Purchase, back: int) -> Ruling:
    """The amount is added; the order keeps its goods."""
    until = attempt.refund_until
    through = attempt.state is PaymentState.REFUND_PENDING and until is not None and back >= until
    first = attempt.state is PaymentState.SUCCEEDED
    moves = (PaymentState.PARTIALLY_REFUNDED,) if first or through else ()
    outside = purchase.state in FULFILLED and attempt.state in KEPT
    review = Review.REFUND_OUTSIDE if outside else None
    return Ruling(Verdict.PARTIALLY_REFUNDED, moves, refunded=back, review=review)


FULFILLED = frozenset(
    {
        OrderState.FULFILLING,
        OrderState.SHIPPED,
        OrderState.DELIVERED,
        OrderState.RETURN_REQUESTED,
        OrderState.RETURNED,
    }
)


def _to_refunded(attempt: Attempt) -> tuple[PaymentState, ...]:
    match attempt.state:
        case PaymentState.REFUNDED:
            return ()
        case PaymentState.SUSPENSE:
            return (PaymentState.REFUND_PENDING, PaymentState.REFUNDED)
        case _:
            return (PaymentState.REFUNDED,)


def _fate_of_refunded(attempt: Attempt, purchase: Purchase) -> Fate:
    """Money that is fully back ends the order that it paid for; goods that have left stay the operator's business."""
    if attempt.state is PaymentState.SUSPENSE:
        return _without_this_attempt(purchase)
    paid_for = purchase.state in (OrderState.PAID, OrderState.REFUNDING)
    return Fate.REFUNDED if paid_for and attempt.pays else Fate.STAYS

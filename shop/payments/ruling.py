"""What a provider's report about a payment means for the payment, its order and its stock.

Pure: snapshots and a report in, a `Ruling` out. The rank of the states decides, never the order in which reports arrive, so a
report that comes twice, late or before an older one ends in the same place. Knows neither tables nor providers nor time.
"""

from __future__ import annotations

from shop.errors import IllegalMove
from shop.orders.rules import OrderState
from shop.payments.rules import (
    ENDED_UNPAID,
    FULFILLED,
    KEPT,
    OPEN,
    UNPAID,
    Attempt,
    Fact,
    Fate,
    PaymentState,
    Purchase,
    Report,
    Review,
    Ruling,
    Verdict,
    move,
)


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

"""What an operator may do to an order as it stands. Pure: the use cases decide again, under the order's lock.

One list for the page's buttons and for programs, so that nobody is offered what would be refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shop.orders.fulfil import STEPS
from shop.orders.letters import STANDING
from shop.orders.rules import HOLDING_STATES, ORDER_MOVES, OrderState
from shop.payments.asked_refund import ACTION as REFUND
from shop.payments.asked_refund import PAID_FOR
from shop.payments.review import ReviewStep
from shop.payments.rules import KEPT, Attempt, PaymentState

CANCEL, RETRY, RESEND = "cancel", "retry", "resend-mail"
OF_QUEUED = (CANCEL,)  # all that may be done to an order that is not decided yet


@dataclass(frozen=True, slots=True)
class Refundable:
    """Money that can be given back, in minor units of `currency`: `left`, and what is `back` already.

    `whole`: all that is left may go, which ends the order; `part`: some of it, and the order stays.
    """

    left: int
    back: int
    currency: str
    whole: bool
    part: bool


def offers(
    state: OrderState, total: int, review_reason: str | None, attempts: Sequence[Attempt], *, given_up: bool
) -> tuple[str, ...]:
    """The actions that make sense now, the most usual first. `given_up`: an effect of this order waits to be tried again."""
    found = _offers(state, total, review_reason, attempts, given_up=given_up)
    return tuple(dict.fromkeys(found))


def refundable(state: OrderState, attempts: Sequence[Attempt]) -> Refundable | None:
    """What of the order's money may be given back; None where there is none, or where it must not go now."""
    kept = next((one for one in attempts if one.state in KEPT), None)
    if kept is None or state not in PAID_FOR:
        return None
    left, whole = kept.captured - kept.refunded, OrderState.REFUNDING in ORDER_MOVES[state]
    part = left > 1
    return Refundable(left, kept.refunded, kept.currency, whole, part) if whole or part else None


def _nothing_left(state: OrderState, total: int, attempts: Sequence[Attempt]) -> bool:
    """Whether a refund only frees the units: the order cost nothing, or its money went back by itself."""
    states = {one.state for one in attempts}
    here = not states.isdisjoint({*KEPT, PaymentState.REFUND_PENDING})
    gone = total == 0 or PaymentState.REFUNDED in states
    return gone and not here and state in PAID_FOR and OrderState.REFUNDING in ORDER_MOVES[state]


def _offers(
    state: OrderState, total: int, review_reason: str | None, attempts: Sequence[Attempt], *, given_up: bool
) -> Iterator[str]:
    if given_up:
        yield RETRY
    suspended = [one for one in attempts if one.state is PaymentState.SUSPENSE]
    if suspended:
        if state in HOLDING_STATES and not all(one.foreign for one in suspended):
            yield ReviewStep.ACCEPT
        yield ReviewStep.RETURN
    elif review_reason is not None:
        yield ReviewStep.CLOSE
    for action, (begins, _) in STEPS.items():
        if state is begins:
            yield action
    if refundable(state, attempts) or _nothing_left(state, total, attempts):
        yield REFUND
    if state in STANDING:
        yield RESEND
    if state in HOLDING_STATES and not suspended:
        yield CANCEL

"""The words and the moves of an order. Pure: no clock, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shop.errors import IllegalMove, Refused


class OrderState(StrEnum):
    """`queued` lives in the lane only; every other word stands in `orders.state`."""

    QUEUED = "queued"
    REJECTED = "rejected"
    RESERVED = "reserved"
    PAYING = "paying"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    FULFILLING = "fulfilling"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURN_REQUESTED = "return_requested"
    RETURNED = "returned"


class RejectReason(StrEnum):
    """Why the drain rejected an order."""

    SOLD_OUT = "sold_out"
    OVER_LIMIT = "over_limit"
    PASS_USED = "pass_used"
    NOT_ON_SALE = "not_on_sale"
    BAD_ADDRESS = "bad_address"
    ACCOUNT_CLOSED = "account_closed"
    FAILED = "failed"


_S = OrderState
ORDER_MOVES: Mapping[OrderState, frozenset[OrderState]] = {
    _S.QUEUED: frozenset(
        {_S.RESERVED, _S.REJECTED, _S.CANCELLED, _S.PAID}
    ),  # paid: a total of 0 needs no payment
    _S.REJECTED: frozenset(),
    _S.RESERVED: frozenset({_S.PAYING, _S.EXPIRED, _S.CANCELLED, _S.PAID}),
    _S.PAYING: frozenset({_S.PAID, _S.RESERVED, _S.EXPIRED, _S.CANCELLED}),
    _S.EXPIRED: frozenset({_S.PAID, _S.CANCELLED}),
    _S.CANCELLED: frozenset(),
    _S.PAID: frozenset({_S.REFUNDING, _S.FULFILLING}),
    _S.REFUNDING: frozenset({_S.REFUNDED, _S.PAID}),
    _S.REFUNDED: frozenset(),
    _S.FULFILLING: frozenset({_S.SHIPPED, _S.REFUNDING}),
    _S.SHIPPED: frozenset({_S.DELIVERED}),
    _S.DELIVERED: frozenset({_S.RETURN_REQUESTED}),
    _S.RETURN_REQUESTED: frozenset({_S.RETURNED, _S.DELIVERED}),
    _S.RETURNED: frozenset({_S.REFUNDING}),
}

# What an account has in these states counts against its limit.
LIVE_STATES = frozenset(OrderState) - {_S.QUEUED, _S.REJECTED, _S.EXPIRED, _S.CANCELLED, _S.REFUNDED}
# Units of these orders are held, sold; orders in any other state have none.
HOLDING_STATES = frozenset({_S.RESERVED, _S.PAYING})
SOLD_STATES = LIVE_STATES - HOLDING_STATES


def move(current: OrderState, wanted: OrderState) -> OrderState:
    """The new state of an order, or `IllegalMove` naming both."""
    if wanted not in ORDER_MOVES[current]:
        raise IllegalMove("order", current, wanted)
    return wanted


class UnknownOrder(Refused):
    """There is no such order, or it is somebody else's."""


class OrderOutcome(StrEnum):
    """What the waiting room is told about the pass of an order."""

    REJECTED = "rejected"  # the pass is given back
    PAID = "paid"
    ENDED = "ended"  # expired, cancelled or given back: no purchase


@dataclass(frozen=True, slots=True)
class Ended:
    """An order whose slot in the room is free now; to be announced after the commit."""

    sale_id: str
    order_id: str
    jti: str
    outcome: OrderOutcome


OUTCOMES: Mapping[OrderState, OrderOutcome] = {
    _S.REJECTED: OrderOutcome.REJECTED,
    **dict.fromkeys(SOLD_STATES, OrderOutcome.PAID),
    **dict.fromkeys((_S.EXPIRED, _S.CANCELLED, _S.REFUNDED), OrderOutcome.ENDED),
}


def pass_claim(sale_id: str, jti: str) -> str:
    """What `orders.pass_claim` holds while the pass is used up."""
    return f"{sale_id}:{jti}"

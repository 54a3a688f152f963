"""What operators see of one order: its story, and its buyer."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.base import Body, Items
from gateway.bodies.operator import OperatorOrderBody


class PlaceBody(Body, frozen=True):
    """Where an order goes."""

    recipient: str
    line1: str
    line2: str
    city: str
    postcode: str
    country: str
    phone: str


class PersonBody(Body, frozen=True):
    """The buyer of an order; `masked` for viewers, who see first letters. Empty where the account was erased."""

    masked: bool
    email: str
    name: str
    phone: str
    address: PlaceBody | None = None


class MomentBody(Body, frozen=True):
    """One thing that happened. `kind`: turn, order, stock, reservation, payment, callback, effect or operator; `what`: its word."""

    at: datetime
    kind: str
    what: str
    detail: dict[str, object]


class RefundableBody(Body, frozen=True):
    """Money of an order that may be given back: `left` and what is `back` already, in minor units. `whole`: all that is left may go,
    which ends the order; `part`: some of it may, and the order stays.
    """

    left: int
    back: int
    currency: str
    whole: bool
    part: bool


class OrderStoryBody(Body, frozen=True):
    """An order, its buyer, and what happened to it, the first first; `ticket_id` is the ticket whose turn it used. `actions`: what an
    operator may do to it now.
    """

    order: OperatorOrderBody
    ticket_id: str
    person: PersonBody
    moments: list[MomentBody]
    actions: list[str]
    refundable: RefundableBody | None = None


class StuckBody(Body, frozen=True):
    """One thing that waits for an operator. `kind`: effect, review, suspended, unknown_callback, paying_too_long, lane or job."""

    kind: str
    at: datetime
    ref: str
    note: str
    order_id: str | None = None
    attempts: int | None = None


class StuckList(Items[StuckBody], frozen=True, kw_only=True):
    """Everything that does not go on by itself; always whole."""


class MismatchBody(Body, frozen=True):
    """One figure that differs: `field` of `row` in `table` is `found`, and `by` says it should be `expected`; `sentence` says so in
    the words of `firstcome reconcile`.
    """

    table: str
    row: str
    field: str
    found: int | str
    expected: int | str
    by: str
    sentence: str


class ReconciliationBody(Body, frozen=True):
    """Whether the books add up; if not, everything in which they differ."""

    adds_up: bool
    as_of: datetime
    items: list[MismatchBody]

"""What operators see of one order: its story, and its buyer."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.base import Body
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


class OrderStoryBody(Body, frozen=True):
    """An order, its buyer, and what happened to it, the first first; `ticket_id` is the ticket whose turn it used."""

    order: OperatorOrderBody
    ticket_id: str
    person: PersonBody
    moments: list[MomentBody]

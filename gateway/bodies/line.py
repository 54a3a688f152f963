"""The line and my place in it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.bodies.base import Body
from gateway.bodies.draws import DrawReceiptBody
from gateway.bodies.sales import MessageBody


class StockBody(Body, frozen=True):
    """Stock of the whole sale; `left` counts units that are neither held nor sold."""

    state: str
    left: int | None = None


class HoldBody(Body, frozen=True):
    """Why nobody is called just now, and since when. `reason`: paused, halted, all_held, no_controller, rebuilding, drawing,
    checkout_slow (orders to decide have piled up) or provider_down (the payment provider does not answer).
    """

    reason: str
    since: datetime


class PollBody(Body, frozen=True):
    """How often a client may ask: at least `floor_ms` apart, at most `ceiling_ms`, wait / `divisor` in between."""

    floor_ms: int
    ceiling_ms: int
    divisor: int


class LineBody(Body, frozen=True):
    """The shared state of a sale's line, the same for everybody."""

    phase: str
    now_serving: int
    waiting: int
    calls_per_minute: int
    stock: StockBody
    poll: PollBody
    as_of: datetime
    message: MessageBody | None = None
    hold: HoldBody | None = None


class ReasonBody(Body, frozen=True):
    """Why an estimate got longer."""

    code: str
    at: datetime


class EstimateBody(Body, frozen=True):
    """A range of seconds; null while nothing can be said."""

    low_s: int | None
    high_s: int | None
    reason: ReasonBody | None = None


class TicketBody(Body, frozen=True):
    """My place in the line. `outcome` of one that is `done`: `paid`, and it is used for good, whatever becomes of the purchase later;
    or `ended` without a purchase, and joining again gives a new number.
    """

    ticket_id: str
    ticket: str
    sale: str
    state: str
    stock_outlook: str
    poll_after_ms: int
    as_of: datetime
    outcome: str | None = None
    number: int | None = None
    position: int | None = None
    ahead: int | None = None
    waiting: int | None = None
    estimate: EstimateBody | None = None
    be_back_by: datetime | None = None
    turn_expires_at: datetime | None = None
    extended: bool | None = None
    draw_receipt: DrawReceiptBody | None = None
    message: MessageBody | None = None


class PassBody(msgspec.Struct, frozen=True, kw_only=True):
    """The signed admission to checkout."""

    pass_: str = msgspec.field(name="pass")
    expires_at: datetime


class ArrivalBody(PassBody, frozen=True, kw_only=True):
    """What a one-time code stands for: the pass, and the path of the site that its holder had asked for."""

    sale_id: str
    to: str

"""What operators see of sales, orders and each other's changes."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.accounts import SessionBody
from gateway.bodies.base import Body, Items
from gateway.bodies.orders import OrderLineBody
from gateway.bodies.sales import MessageBody


class OperatorSessionBody(SessionBody, frozen=True):
    """The tokens of an operator's session."""

    role: str


class OperatorItemBody(Body, frozen=True):
    """Stock of one product in a sale."""

    product_id: str
    title: str
    price: int
    currency: str
    limit_per_buyer: int
    allotted: int
    held: int
    sold: int


class OperatorSaleBody(Body, frozen=True):
    """A sale with everything that an operator may set; `version` is its ETag."""

    sale_id: str
    slug: str
    title: str
    mode: str
    control: str
    phase: str
    lobby_opens_at: datetime
    opens_at: datetime
    closes_at: datetime
    calls_per_minute: int
    capacity: int
    turn_window_s: int
    comeback_s: int
    hold_s: int
    pass_s: int
    over_call_limit: float
    items: list[OperatorItemBody]
    version: int
    message: MessageBody | None = None


class OperatorSaleList(Items[OperatorSaleBody], frozen=True, kw_only=True):
    """All sales, the newest first."""


class ShelfBody(Body, frozen=True):
    """A product and the units on its shelf, which no sale has been allotted."""

    product_id: str
    title: str
    on_hand: int


class ShelfList(Items[ShelfBody], frozen=True, kw_only=True):
    """All products, by title."""


class LineFigures(Body, frozen=True):
    """People in the line, by where they stand."""

    waiting: int
    called: int
    missed: int
    shopping: int
    ordering: int
    now_serving: int
    calls_last_minute: int


class MinuteBody(Body, frozen=True):
    """Calls in one minute."""

    at: datetime
    calls: int


class FiguresBody(Body, frozen=True):
    """Everything an operator watches while a sale runs. `leading` says whether a controller admits just now."""

    sale: str
    title: str
    phase: str
    control: str
    leading: bool
    calls_per_minute: int
    capacity: int
    line: LineFigures
    lane_length: int
    stock: list[OperatorItemBody]
    orders: dict[str, int]
    calls: list[MinuteBody]
    version: int
    as_of: datetime


class OperatorOrderBody(Body, frozen=True):
    """An order in the operator's list; personal data is not part of it."""

    order_id: str
    sale: str
    account_id: str
    state: str
    seq: int | None
    total: int
    currency: str
    lines: list[OrderLineBody]
    accepted_at: datetime
    reason: str | None = None
    review_reason: str | None = None
    hold_expires_at: datetime | None = None


class OperatorOrderList(Items[OperatorOrderBody], frozen=True, kw_only=True):
    """Orders of all buyers, the newest first."""


class AuditBody(Body, frozen=True):
    """One change that an operator made; `operator` is the name, `sale` the slug of the sale that was changed."""

    audit_id: int
    operator_id: str
    action: str
    subject: str
    detail: dict[str, object]
    at: datetime
    operator: str | None = None
    sale: str | None = None


class AuditList(Items[AuditBody], frozen=True, kw_only=True):
    """What operators changed, the newest first."""

"""Every body that the gateway answers with, named as in the public contract.

Optional fields stand at the end with `None` and are left out of the JSON while they are None; a field without a default is
always there, even as null. Times are aware UTC, money is an integer in minor units beside its currency. Knows no rules.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all answers."""


class Items(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A list; `next_cursor` asks for the next part, null at the end. Each kind has a class of its own, named in OpenAPI."""

    items: list[T]
    next_cursor: str | None


# ---------------------------------------------------------------- problems


class FieldFault(Body, frozen=True):
    """One bad field of a request; `field` is its path, such as `items.0.allotted`."""

    field: str
    message: str


class ProblemBody(Body, frozen=True):
    """RFC 9457 problem details with a stable `code`."""

    type: str
    title: str
    status: int
    code: str
    instance: str
    detail: str | None = None
    errors: list[FieldFault] | None = None
    current: str | None = None
    wanted: str | None = None
    failing: list[str] | None = None


# ---------------------------------------------------------------- accounts


class AccountAccepted(Body, frozen=True):
    """The answer to a sign-up; the same whether or not the address is known."""

    account_id: str


class SessionBody(Body, frozen=True):
    """The tokens of a program's session."""

    access_token: str
    token_type: str
    expires_in_s: int
    refresh_token: str


class AddressBody(Body, frozen=True):
    """One entry of the address book."""

    address_id: str
    recipient: str
    line1: str
    line2: str
    city: str
    postcode: str
    country: str
    phone: str


class AddressList(Items[AddressBody], frozen=True, kw_only=True):
    """My address book."""


class MeBody(Body, frozen=True):
    """My own data, decrypted for me alone."""

    account_id: str
    email: str
    name: str
    phone: str
    locale: str
    verified: bool
    created_at: datetime


# ---------------------------------------------------------------- catalogue and cart


class ProductBody(Body, frozen=True):
    """A product with its price and stock state; `sale` names the sale window that offers it now."""

    product_id: str
    title: str
    description: str
    price: int
    currency: str
    stock_state: str
    image: str | None = None
    sale: str | None = None


class ProductList(Items[ProductBody], frozen=True, kw_only=True):
    """Products."""


class SaleItemBody(Body, frozen=True):
    """A product as a sale offers it."""

    product_id: str
    title: str
    price: int
    currency: str
    limit_per_buyer: int
    stock_state: str
    description: str | None = None
    image: str | None = None


class SaleBody(Body, frozen=True):
    """A sale window as buyers see it."""

    slug: str
    title: str
    phase: str
    mode: str
    lobby_opens_at: datetime
    opens_at: datetime
    closes_at: datetime
    items: list[SaleItemBody]
    message: MessageBody | None = None


class SaleList(Items[SaleBody], frozen=True, kw_only=True):
    """Sale windows."""


class CartItemBody(Body, frozen=True):
    """One line of the cart; `price` is the product's own, a sale may ask another."""

    product_id: str
    quantity: int
    title: str
    price: int
    currency: str
    image: str | None = None


class CartBody(Body, frozen=True):
    """My cart: a list that prefills checkout."""

    items: list[CartItemBody]


# ---------------------------------------------------------------- the line


class MessageBody(Body, frozen=True):
    """The operator's words to those who wait."""

    ko: str
    en: str


class StockBody(Body, frozen=True):
    """Stock of the whole sale; `left` counts units that are neither held nor sold."""

    state: str
    left: int | None = None


class HoldBody(Body, frozen=True):
    """Why nobody is called just now, and since when."""

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
    """My place in the line."""

    ticket_id: str
    ticket: str
    sale: str
    state: str
    stock_outlook: str
    poll_after_ms: int
    as_of: datetime
    number: int | None = None
    position: int | None = None
    ahead: int | None = None
    waiting: int | None = None
    estimate: EstimateBody | None = None
    be_back_by: datetime | None = None
    turn_expires_at: datetime | None = None
    extended: bool | None = None
    message: MessageBody | None = None


class PassBody(msgspec.Struct, frozen=True, kw_only=True):
    """The signed admission to checkout."""

    pass_: str = msgspec.field(name="pass")
    expires_at: datetime


class ArrivalBody(PassBody, frozen=True, kw_only=True):
    """What a one-time code stands for: the pass, and the path of the site that its holder had asked for."""

    sale_id: str
    to: str


# ---------------------------------------------------------------- checkout


class OrderAccepted(Body, frozen=True):
    """An order that has its place in the lane; `href` says where to look for its decision."""

    order_id: str
    state: str
    receipt: str
    href: str
    poll_after_ms: int


class OrderLineBody(Body, frozen=True):
    """So many units of a product at a price."""

    product_id: str
    title: str
    quantity: int
    unit_price: int


class OrderPaymentBody(Body, frozen=True):
    """The latest attempt to pay."""

    payment_id: str
    provider: str
    state: str
    checkout_url: str | None = None


class OrderBody(Body, frozen=True):
    """One of my orders. A queued one has no `seq` and no prices of its own yet."""

    order_id: str
    sale: str
    state: str
    seq: int | None
    lines: list[OrderLineBody]
    total: int
    currency: str
    accepted_at: datetime
    hold_expires_at: datetime | None = None
    reason: str | None = None
    payment: OrderPaymentBody | None = None
    poll_after_ms: int | None = None


class OrderList(Items[OrderBody], frozen=True, kw_only=True):
    """My orders, the newest first."""


class PaymentStarted(Body, frozen=True):
    """A payment that waits for the buyer at the provider's page."""

    payment_id: str
    checkout_url: str
    expires_at: datetime


class CallbackTaken(Body, frozen=True):
    """What became of a provider's callback."""

    verdict: str


# ---------------------------------------------------------------- operators


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
    """One change that an operator made."""

    audit_id: int
    operator_id: str
    action: str
    subject: str
    detail: dict[str, object]
    at: datetime


class AuditList(Items[AuditBody], frozen=True, kw_only=True):
    """What operators changed, the newest first."""


# ---------------------------------------------------------------- keys and health


class HealthBody(Body, frozen=True):
    """`checks` names every dependency that was asked."""

    status: str
    checks: dict[str, str]

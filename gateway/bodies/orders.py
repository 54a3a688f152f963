"""Orders and their payments."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.base import Body, Items


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


class MoneyBody(Body, frozen=True, omit_defaults=False):
    """Where the money of an order is, in minor units of its currency. `paid` pays for it; of that `back` was given back and
    `going_back` is on its way. `waiting` came after the hold and takes its turn; `under_review` is of another amount, and the shop
    looks at it; `spare_going_back` and `spare_back` are payments that the order could not take.
    """

    paid: int
    back: int
    going_back: int
    waiting: int
    under_review: int
    spare_back: int
    spare_going_back: int


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
    money: MoneyBody | None = None
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

"""Products, sale windows, the cart."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.base import Body, Items
from gateway.bodies.draws import DrawBody


class MessageBody(Body, frozen=True):
    """The operator's words to those who wait."""

    ko: str
    en: str


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
    """A sale window as buyers see it. `guests`: one may wait without an account; `challenge`: joining always asks for one."""

    slug: str
    title: str
    phase: str
    mode: str
    lobby_opens_at: datetime
    opens_at: datetime
    closes_at: datetime
    guests: bool
    challenge: bool
    items: list[SaleItemBody]
    draw: DrawBody | None = None
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

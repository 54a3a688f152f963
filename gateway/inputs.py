"""Every body that the gateway takes, named as in the public contract.

A field that is not listed here is refused. Shapes, lengths and ranges stand here; what needs more than the field itself is
decided below the gateway. Knows no HTTP.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

# No control characters: they end up in mails, pages and log lines.
_LINE_OF_TEXT = r"^[^\x00-\x1f\x7f]*\Z"

Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\Z")
]
Password = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=_LINE_OF_TEXT)]
Phone = Annotated[str, Meta(max_length=32, pattern=r"^[0-9+() .-]*\Z")]
Code = Annotated[str, Meta(min_length=4, max_length=64, pattern=r"^[A-Za-z0-9_-]+\Z")]
Token = Annotated[str, Meta(min_length=1, max_length=512)]
Locale = Literal["ko", "en"]
Short = Annotated[str, Meta(max_length=200, pattern=_LINE_OF_TEXT)]
Filled = Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE_OF_TEXT)]
Moment = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[int, Meta(ge=1, le=604_800)]
ProductId = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+\Z")]
Words = Annotated[str, Meta(max_length=500)]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all request bodies."""


# ---------------------------------------------------------------- accounts


class NewAddress(Input):
    """An address to send things to; `country` is an ISO 3166 code of two letters."""

    recipient: Filled
    line1: Filled
    city: Filled
    postcode: Annotated[str, Meta(min_length=1, max_length=16, pattern=_LINE_OF_TEXT)]
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
    line2: Short = ""
    phone: Phone = ""


class NewAccount(Input):
    """A sign-up."""

    email: Email
    password: Password
    name: Name
    phone: Phone = ""
    address: NewAddress | None = None
    locale: Locale = "en"


class Verification(Input):
    """The code that came by mail."""

    email: Email
    code: Code


class Credentials(Input):
    """Address and password."""

    email: Email
    password: Password


class Refresh(Input):
    """The refresh token of the last answer."""

    refresh_token: Token


class ResetRequest(Input):
    """Asks for a code by mail."""

    email: Email


class ResetConfirmation(Input):
    """A new password with the code that came by mail."""

    email: Email
    code: Code
    password: Password


class MeChange(Input):
    """What shall be different; fields that are left out stay."""

    name: Name | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    locale: Locale | UnsetType = UNSET


# ---------------------------------------------------------------- cart, checkout, payment


class CartQuantity(Input):
    """How many of one product."""

    quantity: Annotated[int, Meta(ge=1, le=1000)]


class OrderLine(Input):
    """So many units of one product."""

    product_id: ProductId
    quantity: Annotated[int, Meta(ge=1, le=1000)]


class NewOrder(Input):
    """What to buy."""

    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=50)]
    address_id: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+\Z")] | None = None


class PaymentChoice(Input):
    """With which provider to pay; the first one when left out."""

    provider: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9_-]+\Z")] | None = None


# ---------------------------------------------------------------- operators


class SaleItem(Input):
    """A product in a sale; `price` is the product's own when left out."""

    product_id: ProductId
    allotted: Annotated[int, Meta(ge=0, le=10_000_000)]
    limit_per_buyer: Annotated[int, Meta(ge=1, le=1000)]
    price: Annotated[int, Meta(ge=0, le=10**12)] | None = None


class Message(Input):
    """The operator's words to those who wait; empty texts take them back."""

    ko: Words = ""
    en: Words = ""


class NewSale(Input):
    """A sale window. Durations in seconds, `over_call_limit` from 1 (call nobody beyond the stock) to 2."""

    slug: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z")]
    title: Filled
    mode: Literal["fifo", "draw"]
    lobby_opens_at: Moment
    opens_at: Moment
    closes_at: Moment
    items: Annotated[list[SaleItem], Meta(min_length=1, max_length=100)]
    calls_per_minute: Count = 600
    capacity: Count = 200
    turn_window_s: Seconds = 120
    comeback_s: Annotated[int, Meta(ge=0, le=604_800)] = 600
    hold_s: Seconds = 600
    pass_s: Seconds = 600
    over_call_limit: Annotated[float, Meta(ge=1, le=2)] = 1.0
    guests: bool = False
    message: Message | None = None
    draft: bool = False


class SaleChange(Input):
    """What shall be different in a sale; fields that are left out stay."""

    slug: (
        Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z")] | UnsetType
    ) = UNSET
    title: Filled | UnsetType = UNSET
    mode: Literal["fifo", "draw"] | UnsetType = UNSET
    lobby_opens_at: Moment | UnsetType = UNSET
    opens_at: Moment | UnsetType = UNSET
    closes_at: Moment | UnsetType = UNSET
    items: Annotated[list[SaleItem], Meta(min_length=1, max_length=100)] | UnsetType = UNSET
    calls_per_minute: Count | UnsetType = UNSET
    capacity: Count | UnsetType = UNSET
    turn_window_s: Seconds | UnsetType = UNSET
    comeback_s: Annotated[int, Meta(ge=0, le=604_800)] | UnsetType = UNSET
    hold_s: Seconds | UnsetType = UNSET
    pass_s: Seconds | UnsetType = UNSET
    over_call_limit: Annotated[float, Meta(ge=1, le=2)] | UnsetType = UNSET
    guests: bool | UnsetType = UNSET
    message: Message | UnsetType | None = UNSET


class Action(Input):
    """The values that an action needs: `calls_per_minute` for set-rate, `capacity` for set-capacity, `message` for announce."""

    calls_per_minute: Count | UnsetType = UNSET
    capacity: Count | UnsetType = UNSET
    message: Message | UnsetType | None = UNSET

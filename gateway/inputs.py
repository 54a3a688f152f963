"""Every body that the gateway takes, named as in the public contract.

A field that is not listed here is refused, and so is a value of another type. What a value may be is decided by the rules of the
room that takes it, all faults at once; the limits that stand beside such fields here only tell readers of the documentation.
Knows no HTTP.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shop.accounts.rules import Address


def _told(description: str, example: Any, **schema: Any) -> Meta:
    """Documents a field for OpenAPI without checking it."""
    return Meta(extra_json_schema={"description": description, "examples": [example], "extra": schema})


Email = Annotated[str, _told("an e-mail address", "minji@example.com", max_length=254)]
Password = Annotated[
    str, _told("a password, as typed", "correct horse battery", min_length=8, max_length=256)
]
Name = Annotated[str, _told("a name on one line", "Kim Minji", min_length=1, max_length=100)]
Phone = Annotated[str, _told("a phone number, or nothing", "+82 10 1234 5678", max_length=32)]
Code = Annotated[str, _told("the code of the mail", "ABCD-2345", max_length=64)]
Locale = Annotated[str, _told("the language to write in", "ko", enum=["en", "ko"])]
Moment = Annotated[datetime, Meta(tz=True, extra_json_schema={"examples": ["2030-05-01T10:00:00Z"]})]
Id = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+$(?!\n)")]
Quantity = Annotated[int, Meta(ge=1, le=1000, extra_json_schema={"examples": [1]})]
Slug = Annotated[
    str,
    _told("the sale's name in addresses", "spring-drop", max_length=64, pattern="^[a-z0-9]+(-[a-z0-9]+)*$"),
]
Title = Annotated[str, _told("what people read", "Spring drop", min_length=1, max_length=200)]
Mode = Annotated[
    str,
    _told(
        "how places are given: first come, first served, or by a draw among those who wait at the opening",
        "fifo",
        enum=["fifo", "draw"],
    ),
]
Rate = Annotated[int, _told("calls a minute at most", 600, minimum=1, maximum=1_000_000)]
Capacity = Annotated[int, _told("buyers called or in checkout at once", 200, minimum=1, maximum=1_000_000)]
Factor = Annotated[
    float, _told("1 calls nobody beyond the free units, 2 twice as many", 1.0, minimum=1, maximum=2)
]
Price = Annotated[int, _told("in minor units of the product's currency", 39000, minimum=0)]
Guests = Annotated[bool, _told("a device may wait without an account", False)]
Challenge = Annotated[bool, _told("everybody solves a challenge to join, not only crowded addresses", False)]
Reason = Annotated[
    str, _told("why, for others to read", "the provider is down", min_length=1, max_length=200)
]
Words = Annotated[str, _told("up to 500 characters", "We go on at 10:15.", max_length=500)]


def _seconds(description: str, example: int, least: int = 1) -> Meta:
    return _told(description + ", in seconds", example, minimum=least, maximum=604_800)


TurnWindow = Annotated[int, _seconds("time to claim a turn", 120)]
Comeback = Annotated[int, _seconds("time in which a missed turn may be taken up again", 600, least=0)]
Hold = Annotated[int, _seconds("time to pay for a reserved order", 600)]
PassLife = Annotated[int, _seconds("life of a pass", 600)]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all request bodies."""


# ---------------------------------------------------------------- accounts


class NewAddress(Input, frozen=True):
    """An address to send things to; `country` is an ISO 3166 code of two capital letters."""

    recipient: Annotated[str, _told("who receives", "Kim Minji", max_length=100)]
    line1: Annotated[str, _told("street and number", "Sejong-daero 110", max_length=200)]
    city: Annotated[str, _told("city", "Seoul", max_length=100)]
    postcode: Annotated[str, _told("postal code", "04524", max_length=16)]
    country: Annotated[str, _told("ISO 3166", "KR", pattern="^[A-Z]{2}$")]
    line2: Annotated[str, _told("building, floor, door", "3F", max_length=200)] = ""
    phone: Phone = ""

    def as_address(self) -> Address:
        """The same, as the shop knows it."""
        return Address(**msgspec.structs.asdict(self))


class NewAccount(Input, frozen=True):
    """A sign-up."""

    email: Email
    password: Password
    name: Name
    phone: Phone = ""
    address: NewAddress | None = None
    locale: Locale = "en"


class Verification(Input, frozen=True):
    """The code that came by mail."""

    email: Email
    code: Code


class Credentials(Input, frozen=True):
    """Address and password."""

    email: Email
    password: Password


class Refresh(Input, frozen=True):
    """The refresh token of the last answer."""

    refresh_token: Annotated[str, Meta(max_length=512)]


class ResetRequest(Input, frozen=True):
    """Asks for a code by mail."""

    email: Email


class ResetConfirmation(Input, frozen=True):
    """A new password with the code that came by mail."""

    email: Email
    code: Code
    password: Password


class MeChange(Input, frozen=True):
    """What shall be different; fields that are left out stay."""

    name: Name | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    locale: Locale | UnsetType = UNSET


# ---------------------------------------------------------------- cart, checkout, payment


class CartQuantity(Input, frozen=True):
    """How many of one product."""

    quantity: Annotated[int, _told("1 to 99", 1, minimum=1, maximum=99)]


class OrderLine(Input, frozen=True):
    """So many units of one product."""

    product_id: Id
    quantity: Quantity


class NewOrder(Input, frozen=True):
    """What to buy, each product once; `address_id` is one of the address book."""

    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=50)]
    address_id: Id | None = None


class CodeForPass(Input, frozen=True):
    """The one-time code that a buyer brought back from the room, the origin of the site that presents it, and what it had let the
    buyer's browser keep when it sent it to the line.
    """

    code: Annotated[str, Meta(max_length=200, extra_json_schema={"examples": ["3f9c2a….kW3v…"]})]
    site: Annotated[
        str, Meta(max_length=300, extra_json_schema={"examples": ["https://tickets.example.org"]})
    ]
    nonce: Annotated[str, Meta(max_length=200, extra_json_schema={"examples": ["Zq8d…"]})]


class PaymentChoice(Input, frozen=True):
    """With which provider to pay; the first one when left out."""

    provider: Annotated[str, Meta(max_length=32, extra_json_schema={"examples": ["simulator"]})] | None = None


# ---------------------------------------------------------------- operators


class SaleItem(Input, frozen=True):
    """A product in a sale; `price` is the product's own when left out."""

    product_id: Annotated[str, Meta(max_length=64)]
    allotted: Annotated[int, _told("units to sell", 100, minimum=0)]
    limit_per_buyer: Annotated[int, _told("units one buyer may have", 2, minimum=1)]
    price: Price | None = None


class Message(Input, frozen=True):
    """The operator's words to those who wait; empty texts take them back."""

    ko: Words = ""
    en: Words = ""


class NewSale(Input, frozen=True):
    """A sale window; live at once unless `draft`."""

    slug: Slug
    title: Title
    mode: Mode
    lobby_opens_at: Moment
    opens_at: Moment
    closes_at: Moment
    items: list[SaleItem]
    calls_per_minute: Rate = 600
    capacity: Capacity = 200
    turn_window_s: TurnWindow = 120
    comeback_s: Comeback = 600
    hold_s: Hold = 600
    pass_s: PassLife = 600
    over_call_limit: Factor = 1.0
    guests: Guests = False
    challenge: Challenge = False
    message: Message | None = None
    draft: bool = False


class SaleChange(Input, frozen=True):
    """What shall be different in a sale; fields that are left out stay."""

    slug: Slug | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    lobby_opens_at: Moment | UnsetType = UNSET
    opens_at: Moment | UnsetType = UNSET
    closes_at: Moment | UnsetType = UNSET
    items: list[SaleItem] | UnsetType = UNSET
    calls_per_minute: Rate | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    turn_window_s: TurnWindow | UnsetType = UNSET
    comeback_s: Comeback | UnsetType = UNSET
    hold_s: Hold | UnsetType = UNSET
    pass_s: PassLife | UnsetType = UNSET
    over_call_limit: Factor | UnsetType = UNSET
    guests: Guests | UnsetType = UNSET
    challenge: Challenge | UnsetType = UNSET
    message: Message | UnsetType | None = UNSET


class Allotment(Input, frozen=True):
    """So many units of a product for the whole sale, those held and sold included."""

    allotted: Annotated[int, _told("units to sell in all", 120, minimum=0)]
    reason: Reason


class OrderAction(Input, frozen=True):
    """Why something is done to an order; what only takes it a usual step further needs no `reason`. `amount` and `was` are for
    `refund`: minor units to give back (all that is left without it), and how much was back before, which keeps a repeated part
    from being given back twice.
    """

    reason: Reason | UnsetType = UNSET
    amount: Annotated[int, _told("minor units", 5000, minimum=1)] | UnsetType = UNSET
    was: Annotated[int, _told("minor units that were back before", 0, minimum=0)] | UnsetType = UNSET


class ShelfChange(Input, frozen=True):
    """Units that came onto the shelf or went off it. `was`, what the shelf held before, keeps it from being done twice."""

    change: Annotated[int, _told("above 0 adds, below 0 takes off", -2)]
    reason: Reason
    was: Annotated[int, _told("units on hand before", 40, minimum=0)] | None = None


class BuyerSearch(Input, frozen=True):
    """Whose orders are looked for. The address stands in the body, since nothing personal belongs into an address line."""

    email: str


class Action(Input, frozen=True):
    """The values that an action needs: `calls_per_minute` for set-rate, `capacity` for set-capacity, `message` for announce,
    `minutes` and `reason` for extend-holds.
    """

    calls_per_minute: Rate | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    message: Message | UnsetType | None = UNSET
    minutes: Annotated[int, _told("so much longer", 10, minimum=1, maximum=120)] | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET

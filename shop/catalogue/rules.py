"""What a product is, what it may be, and how a list of products is shown in pages. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from babel.numbers import list_currencies

from shop.errors import FieldFault, InvalidFields, Refused
from shop.storage.columns import to_millis
from shop.storage.paging import Page

LONGEST_PAGE = 100
HIGHEST_PRICE = 10**12
MOST_UNITS = 10_000_000
_PRODUCT_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
# A cursor: the sort it belongs to, and the key of the last product shown.
_BY_TEXT: Any = tuple[str, str, str]
_BY_NUMBER: Any = tuple[str, int, str]
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class UnknownProduct(Refused):
    """There is no such product."""


class ProductExists(Refused):
    """A product with this id exists already."""


@dataclass(frozen=True, slots=True)
class Product:
    """Something that can be put into a sale. `price` in minor units of `currency`; `on_hand` units that no sale has taken;
    `image` a file name below /static/products."""

    product_id: str
    title: str
    description: str
    price: int
    currency: str
    image: str | None
    on_hand: int
    created_at: datetime


# What a list may be sorted by; the id makes every order strict, so that a cursor names one place in it.
SORTS: dict[str, Callable[[Product], tuple[Any, ...]]] = {
    "newest": lambda product: (-to_millis(product.created_at), product.product_id),
    "title": lambda product: (product.title.casefold(), product.product_id),
    "price": lambda product: (product.price, product.product_id),
    "-price": lambda product: (-product.price, product.product_id),
}


def page_of(
    products: Sequence[Product], *, sort: str = "newest", cursor: str | None = None, limit: int = 50
) -> Page[Product]:
    """One page of the products, by one of `SORTS`. Raises InvalidFields naming `sort` or `cursor`."""
    key = SORTS.get(sort)
    if key is None:
        raise InvalidFields([FieldFault("sort", "must be one of " + ", ".join(SORTS))])
    ordered = sorted(products, key=key)
    if cursor is not None:
        after = _read_cursor(cursor, sort)
        ordered = [product for product in ordered if key(product) > after]
    limit = max(1, min(limit, LONGEST_PAGE))
    shown = ordered[:limit]
    return Page(shown, _cursor(sort, key(shown[-1])) if len(ordered) > limit else None)


def product_faults(
    product_id: str, title: str, description: str, price: int, currency: str, image: str | None, on_hand: int
) -> Iterator[FieldFault]:
    """Everything about a new product that cannot be taken."""
    if not _PRODUCT_ID.fullmatch(product_id):
        yield FieldFault("product_id", "must be 1 to 32 letters, digits, hyphens or underscores")
    if not title.strip() or len(title) > 200 or not title.isprintable():
        yield FieldFault("title", "must be one line of 1 to 200 characters")
    if len(description) > 10_000:
        yield FieldFault("description", "must have at most 10000 characters")
    if not 0 <= price <= HIGHEST_PRICE:
        yield FieldFault("price", f"must be 0 to {HIGHEST_PRICE} minor units")
    if currency not in list_currencies():
        yield FieldFault("currency", "must be an ISO 4217 code such as KRW")
    if image is not None and not _IMAGE.fullmatch(image):
        yield FieldFault("image", "must be a file name such as poster.svg")
    if not 0 <= on_hand <= MOST_UNITS:
        yield FieldFault("on_hand", f"must be 0 to {MOST_UNITS} units")


def _cursor(sort: str, key: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([sort, *key])).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> tuple[Any, ...]:
    shape = _BY_TEXT if sort == "title" else _BY_NUMBER
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        of, *key = msgspec.json.decode(text, type=shape)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise InvalidFields([FieldFault("cursor", "must be a next_cursor of this list")]) from error
    if of != sort:
        raise InvalidFields([FieldFault("cursor", "belongs to another sort")])
    return tuple(key)

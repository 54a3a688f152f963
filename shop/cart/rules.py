"""What a cart may hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shop.errors import FieldFault, Refused

QUANTITY = range(1, 100)
MOST_PRODUCTS = 50


class CartFull(Refused):
    """The cart holds as many different products as it can."""


def quantity_faults(quantity: int) -> Iterator[FieldFault]:
    """Nothing for 1 to 99 units."""
    if quantity not in QUANTITY:
        yield FieldFault("quantity", f"must be {QUANTITY.start} to {QUANTITY.stop - 1}")

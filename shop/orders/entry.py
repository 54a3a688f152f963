"""An accepted order as it stands in its lane.

The same words in Python, in Lua and in the JSON of the lane list. Knows neither Redis nor SQL: whoever reads a lane decodes it,
whoever decides it works on this struct.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, UnsetType


class EntryLine(msgspec.Struct, frozen=True, kw_only=True):
    """So many units of one product; `unit_price` in minor units as the buyer saw it, told in the receipt and never charged."""

    product_id: str
    quantity: int
    unit_price: int = 0


class OrderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted order, exactly as it was pushed onto the lane.

    `accepted_no` counts the accepted orders of the sale; `accepted_at_ms` is unix milliseconds by the store's clock;
    `pass_exp_ms` is the end of the pass in unix milliseconds; `fingerprint` is the hash of the request body behind the
    Idempotency-Key. Prices, `receipt_key` and `good_until_ms` (unix milliseconds) are there for the receipt: it is made of the entry
    alone, so that a repeated request gets the same one whatever the shop has changed since. `late_payment` (`late` in the lane): the payment whose money came
    after the hold was over; the order is decided once more, as one that comes now.
    """

    order_id: str
    sale_id: str
    account_id: str
    pass_jti: str
    pass_exp_ms: int
    lines: list[EntryLine]
    address_id: str | None
    fingerprint: str
    receipt_key: str = ""
    good_until_ms: int = 0
    late_payment: str | UnsetType = msgspec.field(name="late", default=UNSET)
    accepted_no: int
    accepted_at_ms: int

    @property
    def late(self) -> str | None:
        """The payment that has the order decided once more; None of an order that comes for the first time."""
        return self.late_payment or None

    @property
    def lane_id(self) -> str:
        """What the entry is known by in its lane."""
        return self.late or self.order_id


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(OrderEntry)


def encode_entry(entry: OrderEntry) -> bytes:
    """The JSON of one entry."""
    return _encoder.encode(entry)


def decode_entry(data: bytes | str) -> OrderEntry:
    """Read one entry of a lane. Raises msgspec.DecodeError (or its subclass ValidationError) for anything else."""
    return _decoder.decode(data)


def first_entry(found: Iterable[bytes | str | None]) -> OrderEntry | None:
    """The first of these that is there, read; None where none is."""
    return next((decode_entry(data) for data in found if data is not None), None)

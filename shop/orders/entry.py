"""An accepted order as it stands in its lane.

The same words in Python, in Lua and in the JSON of the lane list. Knows neither Redis nor SQL: whoever reads a lane decodes it,
whoever decides it works on this struct.
"""

from __future__ import annotations

import msgspec


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
    alone, so that a repeated request gets the same one whatever the shop has changed since.
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
    accepted_no: int
    accepted_at_ms: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(OrderEntry)


def encode_entry(entry: OrderEntry) -> bytes:
    """The JSON of one entry."""
    return _encoder.encode(entry)


def decode_entry(data: bytes | str) -> OrderEntry:
    """Read one entry of a lane. Raises msgspec.DecodeError (or its subclass ValidationError) for anything else."""
    return _decoder.decode(data)

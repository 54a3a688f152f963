"""The receipt of an accepted order: what was accepted, signed, in the buyer's hands.

`r1.<key id>.<payload>.<mac>`, both parts base64url without padding; the payload is a MessagePack array, the mac HMAC-SHA256 over
kind, key id and payload, each with its length before it. It holds all that the lane's entry holds, so that an order that a
store has lost can take its place again. The same entry gives the same bytes. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from shop.errors import Refused
from shop.orders.entry import EntryLine, OrderEntry
from shop.storage.columns import to_millis

KIND = "r1"
GOOD_AFTER_CLOSE_MS = 3_600_000
LONGEST_RECEIPT = 16_384


class InvalidReceipt(Refused):
    """A receipt that is malformed, forged, signed by an unknown key, or no longer good."""


@dataclass(frozen=True, slots=True)
class ReceiptKeys:
    """`active` is the id of the key that signs; `by_id` all that are still read."""

    active: str
    by_id: Mapping[str, bytes] = field(repr=False)


class ReceiptLine(msgspec.Struct, frozen=True, array_like=True):
    """So many units of one product at a price in minor units."""

    product_id: str
    quantity: int
    unit_price: int


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What was accepted. Times in unix milliseconds; `good_until_ms` is an hour after the sale's end."""

    order_id: str
    sale_id: str
    account_id: str
    pass_jti: str
    pass_exp_ms: int
    lines: list[ReceiptLine]
    address_id: str | None
    fingerprint: str
    accepted_no: int
    accepted_at_ms: int
    good_until_ms: int
    key_id: str

    @property
    def entry(self) -> OrderEntry:
        """The order as it stood in its lane, to the byte."""
        return OrderEntry(
            order_id=self.order_id,
            sale_id=self.sale_id,
            account_id=self.account_id,
            pass_jti=self.pass_jti,
            pass_exp_ms=self.pass_exp_ms,
            lines=[
                EntryLine(product_id=line.product_id, quantity=line.quantity, unit_price=line.unit_price)
                for line in self.lines
            ],
            address_id=self.address_id,
            fingerprint=self.fingerprint,
            receipt_key=self.key_id,
            good_until_ms=self.good_until_ms,
            accepted_no=self.accepted_no,
            accepted_at_ms=self.accepted_at_ms,
        )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Receipt)


def good_until_ms(closes_at: datetime) -> int:
    """Until when a receipt of a sale is good, unix milliseconds."""
    return to_millis(closes_at) + GOOD_AFTER_CLOSE_MS


def receipt_of(entry: OrderEntry) -> Receipt:
    """The receipt of an accepted order."""
    return Receipt(
        order_id=entry.order_id,
        sale_id=entry.sale_id,
        account_id=entry.account_id,
        pass_jti=entry.pass_jti,
        pass_exp_ms=entry.pass_exp_ms,
        lines=[ReceiptLine(line.product_id, line.quantity, line.unit_price) for line in entry.lines],
        address_id=entry.address_id,
        fingerprint=entry.fingerprint,
        accepted_no=entry.accepted_no,
        accepted_at_ms=entry.accepted_at_ms,
        good_until_ms=entry.good_until_ms,
        key_id=entry.receipt_key,
    )


def sign_receipt(keys: ReceiptKeys, receipt: Receipt) -> str:
    """The token that the buyer keeps: under the key that was active at the acceptance, or under today's if that one is gone."""
    key_id = receipt.key_id if receipt.key_id in keys.by_id else keys.active
    payload = _encoder.encode(receipt)
    mac = _mac(keys.by_id[key_id], key_id, payload)
    return ".".join((KIND, key_id, _text(payload), _text(mac)))


def read_receipt(keys: ReceiptKeys, token: str, now: datetime) -> Receipt:
    """The content of a receipt that we signed and that is still good. Raises `InvalidReceipt`."""
    parts = token.split(".") if len(token) <= LONGEST_RECEIPT else []
    if len(parts) != 4 or parts[0] != KIND or parts[1] not in keys.by_id:
        raise InvalidReceipt("not a receipt of this shop")
    key_id, payload, mac = parts[1], _bytes(parts[2]), _bytes(parts[3])
    if not hmac.compare_digest(mac, _mac(keys.by_id[key_id], key_id, payload)):
        raise InvalidReceipt("not a receipt of this shop")
    receipt = _decoder.decode(payload)
    if to_millis(now) >= receipt.good_until_ms:
        raise InvalidReceipt("the receipt is no longer good")
    return receipt


def _mac(key: bytes, key_id: str, payload: bytes) -> bytes:
    parts = (KIND.encode(), key_id.encode(), payload)
    return hmac.new(
        key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256
    ).digest()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """The bytes of one part. Only the spelling that `_text` gives is taken, so that a token has one form."""
    try:
        value = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, binascii.Error) as error:
        raise InvalidReceipt("not a receipt of this shop") from error
    if _text(value) != text:
        raise InvalidReceipt("not a receipt of this shop")
    return value

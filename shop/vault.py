"""Closing personal data: encrypted fields, and the keyed hash by which an e-mail address is found again.

A sealed field names the key that closed it and the place it belongs to (`table.column:row id`), so that keys can be rotated and
a value copied into another row or column does not open there. Knows neither SQL nor where its keys come from.

    sealed = length of the key id (1 byte) | key id | nonce (12 bytes) | AES-256-GCM ciphertext and tag

Nonces are random; NIST SP 800-38D allows 2^32 fields under one key before it has to be rotated.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shop.errors import ShopError

NONCE_BYTES = 12
TAG_BYTES = 16


class Unreadable(ShopError):
    """A sealed field that does not open: another place, changed bytes, or a key that this installation does not have."""


def place(column: str, row_id: str) -> str:
    """The context of one field: `place("accounts.email_sealed", account_id)`."""
    return f"{column}:{row_id}"


class Vault:
    """Seals and opens personal fields. `by_id` holds 32-byte keys; `active` names the one to seal with."""

    def __init__(self, active: str, by_id: Mapping[str, bytes]) -> None:
        self._active = active
        self._ciphers = {key_id: AESGCM(key) for key_id, key in by_id.items()}
        if active not in self._ciphers:
            raise ValueError("the active key is not among the keys")

    def seal(self, text: str, context: str) -> bytes:
        """Encrypt a text for the place `context` (see `place`); `length + len(key id) + 29` bytes."""
        return self.seal_all([(text, context)])[0]

    def seal_all(self, fields: Sequence[tuple[str, str]]) -> list[bytes]:
        """As `seal` for many (text, context); the system is asked once for the chance of all their nonces."""
        header, cipher = _header(self._active), self._ciphers[self._active]
        chance = os.urandom(NONCE_BYTES * len(fields))
        nonces = (chance[at : at + NONCE_BYTES] for at in range(0, len(chance), NONCE_BYTES))
        return [
            header + nonce + cipher.encrypt(nonce, text.encode(), header + context.encode())
            for nonce, (text, context) in zip(nonces, fields, strict=True)
        ]

    def open(self, sealed: bytes, context: str) -> str:
        """The text again. Raises Unreadable, which tells nothing about the content."""
        key_id, nonce, closed = _parts(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Unreadable("sealed with a key that is not in the key ring")
        try:
            return cipher.decrypt(nonce, closed, _header(key_id) + context.encode()).decode()
        except InvalidTag:
            raise Unreadable("changed, or not from this place") from None

    def reseal(self, sealed: bytes, context: str) -> bytes | None:
        """The same text under the active key, or None if it is already sealed with it."""
        if _parts(sealed)[0] == self._active:
            return None
        return self.seal(self.open(sealed, context), context)


class Lookup:
    """Finds a person by e-mail address without storing the address: HMAC-SHA256 under a key of its own."""

    def __init__(self, active: str, by_id: Mapping[str, bytes]) -> None:
        if active not in by_id:
            raise ValueError("the active key is not among the keys")
        self._keys = [by_id[active], *(key for key_id, key in by_id.items() if key_id != active)]

    def of(self, email: str) -> str:
        """What to store for this address: 43 ASCII characters."""
        return _keyed_hash(self._keys[0], normal_email(email))

    def candidates(self, email: str) -> list[str]:
        """All values that may be stored for this address, the active key's first; more than one while keys are rotated."""
        normal = normal_email(email)
        return [_keyed_hash(key, normal) for key in self._keys]


def normal_email(email: str) -> str:
    """The form in which two spellings of one address are the same: no spaces around it, lower case."""
    return unicodedata.normalize("NFC", email).strip().lower()


def _keyed_hash(key: bytes, text: str) -> str:
    digest = hmac.new(key, text.encode(errors="surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _header(key_id: str) -> bytes:
    encoded = key_id.encode()
    return bytes([len(encoded)]) + encoded


def _parts(sealed: bytes) -> tuple[str, bytes, bytes]:
    start = 1 + sealed[0] if sealed else 0
    if len(sealed) < start + NONCE_BYTES + TAG_BYTES or not start:
        raise Unreadable("not a sealed field")
    key_id = sealed[1:start].decode(errors="replace")
    return key_id, sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :]

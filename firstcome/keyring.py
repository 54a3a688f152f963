"""The key ring: one secret per key id, and a separate key for every purpose derived from it.

The first key of the ring is the active one, with which everything new is signed or encrypted; the others are kept for reading
what was made before. Knows neither where the keys come from nor what they are used for.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32

_KEY_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}")
# Of seven thousand million random keys of 32 bytes one shows fewer different byte values; a repeated "change-me" always does.
_FEWEST_DIFFERENT_BYTES = 20


class KeyFault(ValueError):
    """A key ring that cannot be used. The message says what was expected and never contains a key."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one purpose: `by_id` for reading, `active` the id of the one to write with. Each key has 32 bytes."""

    active: str
    by_id: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The installation's secrets by key id; `active` is the id of the one that is used for new things."""

    active: str
    keys: Mapping[str, bytes] = field(repr=False)

    def derive(self, purpose: str) -> KeySet:
        """The keys of one purpose, HKDF-SHA256 (RFC 5869) of each secret with info `firstcome/<purpose>`.

        A key of one purpose tells nothing about those of another.
        """
        info = b"firstcome/" + purpose.encode()
        derived = {
            key_id: HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)
            for key_id, secret in self.keys.items()
        }
        return KeySet(self.active, MappingProxyType(derived))


def parse_keyring(text: str) -> Keyring:
    """Read `kid:base64url,kid:base64url…`; the first is active. Raises KeyFault naming everything that is wrong."""
    keys: dict[str, bytes] = {}
    faults: list[str] = []
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    for place, entry in enumerate(entries, start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            faults.append(f"entry {place} is not of the form <key id>:<32 random bytes in base64url>")
        elif key_id in keys:
            faults.append(f"the key id {key_id} occurs twice")
        elif fault := _fault_of(secret := _decode(encoded)):
            faults.append(f"the key {key_id} {fault}")
        else:
            keys[key_id] = secret
    if not entries:
        faults.append("it holds no key")
    if faults:
        raise KeyFault("; ".join(faults))
    return Keyring(next(iter(keys)), MappingProxyType(keys))


def _decode(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _fault_of(secret: bytes) -> str | None:
    if len(secret) != KEY_BYTES:
        return f"is not {KEY_BYTES} bytes in base64url"
    if len(set(secret)) < _FEWEST_DIFFERENT_BYTES:
        return "is weak: it was not made at random"
    return None

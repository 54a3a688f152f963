"""The Idempotency-Key header (IETF draft): reading it, and telling a repeated request from a reused key. Stores nothing.

The records are the accepted order in Redis and the payment's row in the database; both remember the fingerprint made here.
"""

from __future__ import annotations

import hashlib
import hmac
import re

import msgspec

from gateway.refusals import IdempotencyKeyMalformed, IdempotencyKeyMissing

MOST_CHARACTERS = 255

REPLAYED_HEADER = "Idempotent-Replayed"

_BARE = re.compile(r"[\x21-\x7e]+")
# The draft's form is a quoted string (RFC 9651), in which only the quote and the backslash are escaped.
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')


def read_key(header: str | None) -> str:
    """The key, bare or as a quoted string. Raises IdempotencyKeyMissing or IdempotencyKeyMalformed."""
    if header is None:
        raise IdempotencyKeyMissing("send an Idempotency-Key that is new for each order or payment")
    text = header.strip()
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if len(key) > MOST_CHARACTERS or not (quoted or (_BARE.fullmatch(text) and '"' not in text)):
        raise IdempotencyKeyMalformed(
            f"an Idempotency-Key has 1 to {MOST_CHARACTERS} visible ASCII characters"
        )
    return key


def request_hash(method: str, path: str, body: msgspec.Struct | None) -> str:
    """A hash by which the same key with another method, path or body is told apart; 43 characters."""
    return hashlib.sha256(msgspec.json.encode([method, path, body])).hexdigest()[:43]


def scoped_key(key: bytes, *scope: str) -> str:
    """A keyed hash of the scope and the client's key, 43 characters: what is stored tells nobody the key."""
    return hmac.new(key, msgspec.json.encode(scope), hashlib.sha256).hexdigest()[:43]

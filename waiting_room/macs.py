"""HMAC-SHA256 (RFC 2104) for what is signed or checked with every request of a crowd.

The standard library's own, prepared once per key. Its fast path hands the interpreter's lock away around every hash, however
short (CPython up to 3.12 at least), and a busy server then waits to get it back, which takes longer than the hash; the way taken
here, a hash function that it cannot know for its own, keeps the lock and is faster as well.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache


def mac(key: bytes, content: bytes) -> bytes:
    """32 bytes: HMAC-SHA256 of the content."""
    keyed = _keyed(key).copy()
    keyed.update(content)
    return keyed.digest()


@lru_cache(maxsize=256)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod=_sha256)


def _sha256(content: bytes = b"") -> hashlib._Hash:
    return hashlib.sha256(content)

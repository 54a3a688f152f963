"""HMAC-SHA256 (RFC 2104) for what is signed or checked with every request of a crowd.

The standard library's fast path hands the interpreter's lock away around every hash, however short (CPython up to 3.12 at least),
and a busy server then waits to get it back, which takes longer than the hash. Its slow path keeps the lock, but copies twice what is
prepared once per key here: both hashes with the key's block taken in.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def mac(key: bytes, content: bytes) -> bytes:
    """32 bytes: HMAC-SHA256 of the content."""
    inner, outer = _keyed(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(content)
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=256)
def _keyed(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    return hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))

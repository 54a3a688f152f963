"""What binds a one-time code to the browser that was turned away: a random text that it keeps, at the site's own host. Pure.

The site lets the browser keep a nonce when it sends it to the line; the hash of it travels sealed with the way back and stands behind
the code; the code is then good only with the nonce itself. Without it somebody could lead another person to a code of their own, so
that the site takes that person for them, or use the code of another.
"""

from __future__ import annotations

import hashlib
import re

from firstcome_gate import names

COOKIE = "gate_nonce"
# As long as the way back: people wait for hours, and a lobby may open the evening before.
LIFE_S = 24 * 3600
_NONCE = re.compile(r"[0-9A-Za-z_-]{43}")
_HASH = re.compile(r"[0-9a-f]{64}")


def kept(cookie_header: str, *, secure: bool) -> str | None:
    """The nonce that a browser shows, so that a second tab does not void the way back of the first; None for anything else.

    On https the name carries `__Host-`: no neighbouring host can have planted it.
    """
    found = dict(names.cookies(cookie_header)).get(names.cookie_name(COOKIE, secure=secure), "")
    return found if _NONCE.fullmatch(found) else None


def hash_of(nonce: str) -> str:
    """SHA-256 in hex: what the room may know before the browser is back."""
    return hashlib.sha256(nonce.encode()).hexdigest()


def is_hash(text: str) -> bool:
    """Whether this may be the hash of a nonce."""
    return _HASH.fullmatch(text) is not None


def cookie(nonce: str, *, secure: bool) -> str:
    """The value of the Set-Cookie header by which a browser keeps it."""
    return names.keep(names.cookie_name(COOKIE, secure=secure), nonce, LIFE_S, secure=secure)

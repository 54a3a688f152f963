"""What gate, room and site call things on the wire, and what of it may pass on to the site. Pure.

The room's own gateway uses the same names, so that proxies and the middleware behave alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from waiting_room.passes import Pass

Headers = list[tuple[bytes, bytes]]

# Headers by which the gate tells the site who was let in. Whatever a client sends under this prefix is dropped.
IDENTITY_PREFIX = "x-firstcome-"
ACCOUNT = "X-Firstcome-Account"
TICKET = "X-Firstcome-Ticket"
SALE = "X-Firstcome-Sale"
PASS_ID = "X-Firstcome-Pass"
EXPIRES = "X-Firstcome-Expires"
# Tells a proxy that cannot hand on a redirect where the room is.
ROOM = "X-Firstcome-Room"

PASS_HEADER = "admission-pass"
# What a program shows to the room is the room's business alone.
_SECRET_HEADERS = frozenset({PASS_HEADER, "waiting-room-ticket", "order-receipt"})

# The path, on the site's own host, to which a buyer comes back from the room of another host with a one-time code.
ENTER = "/gate/enter"

HOST_PREFIX = "__Host-"
# Everything that the room lets a browser keep and that opens something. The site has no business with any of it.
_OURS = re.compile(
    r"(?:session|operator|pending|guest|device|challenge|gate_nonce"
    r"|(?:pass|ticket|receipt|return|start|guest|device|challenge)_[0-9A-Za-z_-]+)"
)


def cookie_name(name: str, *, secure: bool) -> str:
    """The cookie's name as browsers see it: on https it carries `__Host-`, which no other host can set."""
    return HOST_PREFIX + name if secure else name


def pass_cookie(sale_id: str, *, secure: bool) -> str:
    """The cookie that holds the pass of a sale."""
    return cookie_name(f"pass_{sale_id}", secure=secure)


def keep(name: str, value: str, life_s: int, *, secure: bool) -> str:
    """The value of a Set-Cookie header for the whole host, for `life_s` seconds; value and name need no quoting."""
    return f"{name}={value}; Max-Age={life_s}; Path=/; HttpOnly; SameSite=Lax" + (
        "; Secure" if secure else ""
    )


def is_ours(name: str, *, secure: bool) -> bool:
    """Whether a cookie of this name is the room's. On https the room's always carry the prefix; bare names are the site's."""
    bare = name.removeprefix(HOST_PREFIX)
    return (not secure or bare != name) and _OURS.fullmatch(bare) is not None


def cookies(header: str) -> Iterable[tuple[str, str]]:
    """The cookies of a request, by name; the room's need no quoting, so that none is undone."""
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            yield name.strip(), value.strip()


def cookies_of_the_site(header: str, *, secure: bool) -> str:
    """The Cookie header as the site may see it: without the room's."""
    parts = (part.strip() for part in header.split(";"))
    return "; ".join(
        part for part in parts if part and not is_ours(part.partition("=")[0].strip(), secure=secure)
    )


def is_secret_or_claimed(name: str) -> bool:
    """Whether a header of this name may not pass from a client to the site. `_` counts as `-`: WSGI cannot tell them apart."""
    plain = name.lower().replace("_", "-")
    return plain.startswith(IDENTITY_PREFIX) or plain in _SECRET_HEADERS


def identity(admission: Pass) -> dict[str, str]:
    """Who was let in: account, ticket and sale by id, the pass (good for one turn) and its end in unix seconds."""
    return {
        ACCOUNT: admission.account_id,
        TICKET: admission.ticket_id,
        SALE: admission.sale_id,
        PASS_ID: admission.jti,
        EXPIRES: str(admission.exp),
    }


def headers_for_the_site(headers: Headers, *, secure: bool) -> Headers:
    """A request's headers without the room's cookies, its tokens, and anything that claims to be the gate's word."""
    kept = []
    for name, value in headers:
        told = name.decode("latin-1")
        if told.lower() == "cookie":
            left = cookies_of_the_site(value.decode("latin-1"), secure=secure)
            if left:
                kept.append((name, left.encode("latin-1")))
        elif not is_secret_or_claimed(told):
            kept.append((name, value))
    return kept

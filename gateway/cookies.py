"""The cookies by which browsers keep what they were given: their names, their flags, and those of sessions and of browsers.

Buyers and operators have separate cookies: one browser may be both.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from firstcome_gate import names
from gateway.sessions import Kind
from shop.accounts.sessions import SignedIn

if TYPE_CHECKING:
    from litestar.response import Response

    from firstcome.settings import Settings
    from gateway.services import Services

# Where guests may wait, a browser is known by this cookie's random id: it holds one place in each sale.
DEVICE, DEVICE_S = "device", 180 * 24 * 3600
_DEVICE_LENGTHS = range(16, 65)


def cookie_name(settings: Settings, name: str) -> str:
    """The cookie's name as browsers see it: on https it carries `__Host-`, which no other host can set."""
    return names.cookie_name(name, secure=settings.secure)


def session_cookie(settings: Settings, kind: Kind) -> str:
    """The name of the session cookie of buyers or operators."""
    return cookie_name(settings, "session" if kind == "buyer" else "operator")


def cookie(settings: Settings, name: str, value: str, max_age_s: int) -> Cookie:
    """A cookie of ours: HttpOnly, SameSite=Lax, for the whole host; Secure on https."""
    return Cookie(
        key=cookie_name(settings, name),
        value=value,
        max_age=max_age_s,
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )


def set_cookie(given: Cookie) -> bytes:
    """The value of a Set-Cookie header; ours need no quoting. (By the standard library it takes longer than a join does.)"""
    secure = "; Secure" if given.secure else ""
    text = f"{given.key}={given.value}; HttpOnly; Max-Age={given.max_age}; Path={given.path}; SameSite={given.samesite}{secure}"
    return text.encode()


def device_of(request: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The random id of the browser that asks; empty for one that has none."""
    services: Services = request.app.state.services
    return device_in(services.settings, request.cookies)


def device_in(settings: Settings, cookies: Mapping[str, str]) -> str:
    """As `device_of`, from the raw cookies."""
    kept = cookies.get(cookie_name(settings, DEVICE), "")
    return kept if len(kept) in _DEVICE_LENGTHS else ""


def name_device(services: Services, response: Response[Any]) -> None:
    """Give the browser an id by which it may hold places."""
    response.set_cookie(cookie(services.settings, DEVICE, secrets.token_urlsafe(16), DEVICE_S))


def start_browser_session(services: Services, response: Response[Any], signed_in: SignedIn) -> None:
    """Let the browser hold the session. Its refresh token is not used: a browser signs in again after the session's life."""
    life_s = services.settings.browser_session_s
    name = "session" if signed_in.kind == "buyer" else "operator"
    response.set_cookie(cookie(services.settings, name, services.sessions.issue(signed_in, life_s), life_s))


def end_browser_session(services: Services, response: Response[Any], kind: Kind = "buyer") -> None:
    """Take the session's cookie back."""
    name = "session" if kind == "buyer" else "operator"
    response.set_cookie(cookie(services.settings, name, "", 0))

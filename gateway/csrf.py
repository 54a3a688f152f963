"""Changes that come with a cookie must come from our own pages: the origin says so, and the session's CSRF token proves it.

What comes with a bearer token, or without any cookie or origin, is nobody's to forge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from litestar.connection import Request
from litestar.handlers import BaseRouteHandler

from gateway.identity import Connection, principal_of
from gateway.reading import read_form
from gateway.refusals import ForeignRequest
from gateway.sessions import Principal

if TYPE_CHECKING:
    from firstcome.settings import Settings
    from gateway.services import Services

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
# By what a change tells where it comes from.
_TELLING = {
    name: name.encode()
    for name in ("authorization", "cookie", "origin", "sec-fetch-site", "host", CSRF_HEADER)
}
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def csrf_token_for(request: Connection, principal: Principal | None) -> str:
    """The CSRF token for the forms of a page; empty for strangers, whose forms are guarded by their origin alone."""
    if principal is None:
        return ""
    services: Services = request.app.state.services
    return services.sessions.csrf_token(principal.session_id)


async def guard_changes(request: Connection, _handler: BaseRouteHandler) -> None:
    """A Litestar guard for every route: an unsafe request of a browser must be ours. Raises ForeignRequest."""
    if request.scope.get("method") not in _UNSAFE or "authorization" in request.headers:
        return
    services: Services = request.app.state.services
    if is_browser(request.headers):
        _require_own_origin(request.headers, services.settings)
        principal = principal_of(request)
        if principal is not None:
            _require_csrf(services, principal, await _csrf_of(request))


def require_own_page(services: Services, raw: Mapping[bytes, bytes], principal: Principal | None) -> None:
    """The same for a change in plain ASGI, whose CSRF token is in its header. Raises ForeignRequest."""
    headers = {name: raw[sent].decode("latin-1") for name, sent in _TELLING.items() if sent in raw}
    if "authorization" not in headers and is_browser(headers):
        _require_own_origin(headers, services.settings)
        if principal is not None:
            _require_csrf(services, principal, headers.get(CSRF_HEADER, ""))


def is_browser(headers: Mapping[str, str]) -> bool:
    """Without cookies and origin it is no browser, and nobody's session: nothing that could be forged."""
    return "cookie" in headers or "origin" in headers


def _require_csrf(services: Services, principal: Principal, token: str) -> None:
    if not services.sessions.csrf_fits(principal.session_id, token):
        raise ForeignRequest("the CSRF token of this session is missing or wrong")


def _require_own_origin(headers: Mapping[str, str], settings: Settings) -> None:
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise ForeignRequest("this change was sent from another site")
    origin = headers.get("origin")
    if origin is not None and origin != settings.base_url and not _same_host(headers, origin):
        raise ForeignRequest("this change was sent from another site")


def _same_host(headers: Mapping[str, str], origin: str) -> bool:
    """A page of the very host that is asked, such as localhost beside 127.0.0.1 on a developer's machine."""
    try:
        host = urlsplit(origin).netloc
    except ValueError:  # such as a bracket that is never closed
        return False
    return bool(host) and host == headers.get("host")


async def _csrf_of(request: Connection) -> str:
    given = request.headers.get(CSRF_HEADER)
    if given is not None:
        return given
    if isinstance(request, Request) and request.content_type[0] in (
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ):
        value = (await read_form(request)).get(CSRF_FIELD)
        return value if isinstance(value, str) else ""
    return ""

"""Who asks: a buyer or an operator, by a bearer token or a browser's cookie, and who may go on.

`require_…` answers who asks or refuses; `…_live` asks the database, too, whether the session has been ended meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from gateway.cookies import session_cookie
from gateway.refusals import NotSignedIn, NotVerified, TwoIdentities, WrongRole
from gateway.sessions import Kind, Principal
from shop.accounts.sessions import session_is_live

if TYPE_CHECKING:
    from gateway.services import Services

Connection = ASGIConnection[Any, Any, Any, Any]

ROLES = ("viewer", "operator", "admin")


def kind_of_path(path: str) -> Kind:
    """Operators' pages and calls know operators only."""
    return "operator" if path.startswith(("/operator", "/api/v1/operator")) else "buyer"


def principal_of(request: Connection) -> Principal | None:
    """Who asks, or None. Raises TwoIdentities when a bearer token and a session cookie come together."""
    services: Services = request.app.state.services
    return identify(
        services,
        kind_of_path(request.scope["path"]),
        request.headers.get("authorization"),
        request.cookies,
    )


def identify(
    services: Services, kind: Kind, authorization: str | None, cookies: Mapping[str, str]
) -> Principal | None:
    """As `principal_of`, from the raw values. A bearer token that is not a live session raises NotSignedIn."""
    cookie_value = cookies.get(session_cookie(services.settings, kind))
    if authorization is not None:
        if cookie_value:
            raise TwoIdentities("a session cookie and an Authorization header came together")
        scheme, _, token = authorization.partition(" ")
        principal = services.sessions.read(token.strip(), "bearer") if scheme.lower() == "bearer" else None
        if principal is None:
            raise NotSignedIn("the access token is not valid, or no longer")
        return principal
    return services.sessions.read(cookie_value, "cookie") if cookie_value else None


def require_buyer(request: Connection) -> Principal:
    """The buyer who asks. Raises NotSignedIn, or WrongRole for operators."""
    return buyer(principal_of(request))


def buyer(principal: Principal | None) -> Principal:
    """Whoever asks, who must be a buyer. Raises NotSignedIn, or WrongRole for operators."""
    if principal is None:
        raise NotSignedIn("sign in first")
    if principal.kind != "buyer":
        raise WrongRole("this is for buyers")
    return principal


def require_verified(principal: Principal) -> Principal:
    """The buyer, whose address is verified. Raises NotVerified."""
    if not principal.verified:
        raise NotVerified("verify your e-mail address first")
    return principal


def require_operator(request: Connection, role: str = "viewer") -> Principal:
    """The operator who asks, with at least this role. Raises NotSignedIn or WrongRole."""
    principal = principal_of(request)
    if principal is None:
        raise NotSignedIn("sign in first")
    if principal.kind != "operator" or ROLES.index(principal.role) < ROLES.index(role):
        raise WrongRole(f"this needs the role {role}")
    return principal


def require_live(services: Services, principal: Principal) -> Principal:
    """The principal whose session has not been ended meanwhile. Asks the database: not for the line. Raises NotSignedIn."""
    if not services.db.read(session_is_live, principal.session_id):
        raise NotSignedIn("this session has been ended")
    return principal


async def require_live_operator(request: Connection, services: Services, role: str = "viewer") -> Principal:
    """As `require_operator`, and the session has not been ended meanwhile: operators change things for everybody."""
    return await services.threads(require_live, services, require_operator(request, role))


async def require_live_buyer(request: Connection, services: Services) -> Principal:
    """As `require_buyer`, and the session has not been ended meanwhile: where money or personal data is moved."""
    return await services.threads(require_live, services, require_buyer(request))


def buyers_only(request: Connection, _handler: BaseRouteHandler) -> None:
    """A Litestar guard: who may not ask at all is told so before the body is looked at."""
    require_buyer(request)


def operators_only(request: Connection, _handler: BaseRouteHandler) -> None:
    """As `buyers_only`, for those who may run sales."""
    require_operator(request, "operator")

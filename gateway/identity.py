"""Who asks: a buyer or an operator, by a bearer token or a browser's cookie.

A session is a signed text (HS256 JWT) with the account's id, kind, role and whether its address is verified, so that knowing who
asks costs no look-up. Buyers and operators have separate cookies: one browser may be both. Texts that were checked are
remembered until they expire. A change that comes with a cookie must come from our own pages and carry the session's CSRF token.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import jwt
import msgspec
from litestar.connection import ASGIConnection, Request
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler

from firstcome_gate import names
from gateway.reading import read_form
from gateway.refusals import ForeignRequest, NotSignedIn, NotVerified, TwoIdentities, WrongRole
from shop.accounts.sessions import SignedIn, session_is_live
from waiting_room.macs import mac

if TYPE_CHECKING:
    from litestar.response import Response

    from firstcome.settings import Settings
    from gateway.services import KeySet, Services

Kind = Literal["buyer", "operator"]
Connection = ASGIConnection[Any, Any, Any, Any]

ROLES = ("viewer", "operator", "admin")
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `role` is viewer, operator or admin for operators, and empty for buyers."""

    subject_id: str
    kind: Kind
    role: str
    verified: bool
    session_id: str
    via: Literal["cookie", "bearer"]
    expires_at: int


class Sessions:
    """Signs and reads session texts. `keys` sign them, `csrf_keys` make the CSRF tokens."""

    def __init__(self, keys: KeySet, csrf_keys: KeySet) -> None:
        self._keys = keys
        self._csrf_keys = csrf_keys
        self._by_header = {_header(kid, key): key for kid, key in keys.by_id.items()}
        self._known: OrderedDict[tuple[str, str], Principal] = OrderedDict()

    def issue(self, signed_in: SignedIn, life_s: int) -> str:
        """A session text for `life_s` seconds."""
        now = int(time.time())
        claims = {
            "sub": signed_in.subject_id,
            "kind": signed_in.kind,
            "role": signed_in.role or "",
            "verified": signed_in.verified,
            "sid": signed_in.session_id,
            "iat": now,
            "exp": now + life_s,
        }
        active = self._keys.active
        return jwt.encode(claims, self._keys.by_id[active], "HS256", headers={"kid": active})

    def read(self, token: str, via: Literal["cookie", "bearer"]) -> Principal | None:
        """Whose session this is; None for anything that is not a live session of ours."""
        known = self._known.get((via, token))
        if known is None:
            claims = self._verify(token)
            if claims is None:
                return None
            known = claims.principal(via)
            self._known[via, token] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if known.expires_at <= time.time():
            self._known.pop((via, token), None)
            return None
        return known

    def _verify(self, token: str) -> _Claims | None:
        """The claims of a text of ours. Everything that we sign begins with one of a few headers, which name algorithm and key; no
        other one is ever looked into. A join is mostly the first that is seen of a session, and a library that reads any JWT
        takes a third of its time.
        """
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        key = self._by_header.get(header)
        if key is None or not token.isascii():
            return None
        ours = urlsafe_b64encode(mac(key, signed.encode())).rstrip(b"=")
        if not hmac.compare_digest(ours, signature.encode()):
            return None
        try:
            return msgspec.json.decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
        except (ValueError, msgspec.DecodeError):
            return None

    def csrf_token(self, session_id: str) -> str:
        """The token that a form of this session carries."""
        return _csrf(self._csrf_keys.by_id[self._csrf_keys.active], session_id)

    def csrf_fits(self, session_id: str, token: str) -> bool:
        """Whether a form's token belongs to the session."""
        given = token.encode("utf-8", "replace")
        fits = [
            hmac.compare_digest(_csrf(key, session_id).encode(), given)
            for key in self._csrf_keys.by_id.values()
        ]
        return any(fits)


class _Claims(msgspec.Struct, frozen=True):
    """What a session text says."""

    sub: str
    kind: Kind
    role: str
    verified: bool
    sid: str
    exp: int

    def principal(self, via: Literal["cookie", "bearer"]) -> Principal:
        return Principal(self.sub, self.kind, self.role, self.verified, self.sid, via, self.exp)


def _header(kid: str, key: bytes) -> str:
    """What all texts that are signed by a key begin with."""
    return jwt.encode({}, key, "HS256", headers={"kid": kid}).partition(".")[0]


def _csrf(key: bytes, session_id: str) -> str:
    return mac(key, session_id.encode()).hex()


# ---------------------------------------------------------------- cookies


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


# Where guests may wait, a browser is known by this cookie's random id: it holds one place in each sale.
DEVICE, DEVICE_S = "device", 180 * 24 * 3600
_DEVICE_LENGTHS = range(16, 65)


def device_of(request: Connection) -> str:
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


# ---------------------------------------------------------------- who asks


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


# ---------------------------------------------------------------- changes from browsers


def csrf_token_for(request: Connection, principal: Principal | None) -> str:
    """The CSRF token for the forms of a page; empty for strangers, whose forms are guarded by their origin alone."""
    if principal is None:
        return ""
    services: Services = request.app.state.services
    return services.sessions.csrf_token(principal.session_id)


async def guard_changes(request: Connection, _handler: BaseRouteHandler) -> None:
    """A Litestar guard for every route: an unsafe request of a browser must be ours. Raises ForeignRequest."""
    if request.scope.get("method") not in UNSAFE or "authorization" in request.headers:
        return
    services: Services = request.app.state.services
    if is_browser(request.headers):
        _require_own_origin(request.headers, services.settings)
        principal = principal_of(request)
        if principal is not None:
            _require_csrf(services, principal, await _csrf_of(request))


def require_own_page(services: Services, headers: Mapping[str, str], principal: Principal | None) -> None:
    """The same for a change in plain ASGI, whose CSRF token is in its header. Raises ForeignRequest."""
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

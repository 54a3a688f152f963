"""Signing up, signing in, and one's own data."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway import identity
from gateway.bodies.accounts import AccountAccepted, AddressBody, AddressList, MeBody, SessionBody
from gateway.cookies import end_browser_session
from gateway.documenting import refuses
from gateway.inputs import (
    Credentials,
    MeChange,
    NewAccount,
    NewAddress,
    Refresh,
    ResetConfirmation,
    ResetRequest,
    Verification,
)
from gateway.networks import network_of
from gateway.refusals import NotSignedIn
from gateway.services import Services
from shop.accounts import addresses, me, reset, sessions, signup
from shop.accounts.rules import Address, BadCode, BadCredentials
from shop.accounts.sessions import SignedIn

AnyRequest = Request[Any, Any, Any]

_BODY = ("unreadable_body", "unsupported_media_type", "bad_fields")
_MINE = ("two_identities", "not_signed_in", "forbidden", "foreign_request", "unavailable")


@post(
    "/accounts",
    status_code=202,
    tags=["accounts"],
    responses=refuses(*_BODY, "too_many_attempts", "overloaded", "unavailable"),
)
async def sign_up(
    data: JSONBody[NewAccount], request: AnyRequest, services: NamedDependency[Services]
) -> AccountAccepted:
    """Ask for an account. The answer is the same whether or not the address is known; the mail tells the difference."""
    services.letters.admit(data.email, network_of(client_of(request)))
    account_id = await services.hashing.run(
        signup.sign_up,
        services.db,
        services.kit,
        data.email,
        data.password,
        data.name,
        data.phone,
        _address(data.address) if data.address else None,
        data.locale,
    )
    services.ring_outbox()
    return AccountAccepted(account_id=account_id)


@post(
    "/accounts/verify",
    status_code=204,
    tags=["accounts"],
    responses=refuses(*_BODY, "bad_code", "too_many_attempts", "unavailable"),
)
async def verify(
    data: JSONBody[Verification], request: AnyRequest, services: NamedDependency[Services]
) -> None:
    """Confirm an address by the code of the mail. A repeat with the right code changes nothing."""
    network = crowd_of(request)
    services.attempts.admit(data.email, network)
    try:
        await services.threads(signup.verify, services.db, services.kit, data.email, data.code)
    except BadCode:
        services.attempts.failed(data.email, network)
        raise


@post(
    "/sessions",
    status_code=200,
    tags=["accounts"],
    responses=refuses(
        *_BODY, "bad_credentials", "unverified", "too_many_attempts", "overloaded", "unavailable"
    ),
)
async def sign_in(
    data: JSONBody[Credentials], request: AnyRequest, services: NamedDependency[Services]
) -> SessionBody:
    """Sign in; the access token goes into `Authorization: Bearer`."""
    signed_in = await attempt(services, sessions.sign_in_any, data, crowd_of(request))
    return session_body(services, signed_in)


@post(
    "/sessions/refresh",
    status_code=200,
    tags=["accounts"],
    sync_to_thread=True,
    responses=refuses(*_BODY, "session_ended", "unavailable"),
)
def refresh(data: JSONBody[Refresh], services: NamedDependency[Services]) -> SessionBody:
    """The next pair of tokens. The old one may be presented again for 30 s; later reuse ends the whole session."""
    return session_body(services, sessions.refresh(services.db, services.kit, data.refresh_token))


@delete(
    "/sessions/current", tags=["accounts"], sync_to_thread=True, status_code=204, responses=refuses(*_MINE)
)
def sign_out(request: AnyRequest, services: NamedDependency[Services]) -> Response[None]:
    """End this session; its refresh token is worth nothing from now on."""
    principal = identity.principal_of(request)
    if principal is None:
        raise NotSignedIn("there is no session to end")
    sessions.sign_out(services.db, principal.session_id)
    response: Response[None] = Response(None, status_code=204)
    if principal.via == "cookie":
        end_browser_session(services, response, principal.kind)
    return response


@post(
    "/accounts/password-reset",
    status_code=202,
    tags=["accounts"],
    responses=refuses(*_BODY, "too_many_attempts", "unavailable"),
)
async def request_reset(
    data: JSONBody[ResetRequest], request: AnyRequest, services: NamedDependency[Services]
) -> None:
    """Ask for a code by mail; the answer is the same whether or not the address is known."""
    services.letters.admit(data.email, network_of(client_of(request)))
    await services.threads(reset.request_reset, services.db, services.kit, data.email)
    services.ring_outbox()


@post(
    "/accounts/password-reset/confirm",
    status_code=204,
    tags=["accounts"],
    responses=refuses(*_BODY, "bad_code", "too_many_attempts", "overloaded", "unavailable"),
)
async def confirm_reset(
    data: JSONBody[ResetConfirmation], request: AnyRequest, services: NamedDependency[Services]
) -> None:
    """Set a new password by the code of the mail. Ends every session."""
    network = crowd_of(request)
    services.attempts.admit(data.email, network)
    try:
        await services.hashing.run(
            reset.confirm_reset, services.db, services.kit, data.email, data.code, data.password
        )
    except BadCode:
        services.attempts.failed(data.email, network)
        raise


# ---------------------------------------------------------------- my data


@get("/me", tags=["accounts"], sync_to_thread=True, responses=refuses(*_MINE))
def read_me(request: AnyRequest, services: NamedDependency[Services]) -> MeBody:
    """My own data, decrypted."""
    return _me(services, identity.require_live(services, identity.require_buyer(request)).subject_id)


@patch(
    "/me",
    guards=[identity.buyers_only],
    tags=["accounts"],
    sync_to_thread=True,
    responses=refuses(*_BODY, *_MINE),
)
def change_me(data: JSONBody[MeChange], request: AnyRequest, services: NamedDependency[Services]) -> MeBody:
    """Change what is given."""
    principal = identity.require_live(services, identity.require_buyer(request))
    given = {
        name: getattr(data, name)
        for name in ("name", "phone", "locale")
        if isinstance(getattr(data, name), str)
    }
    me.change_me(services.db, services.kit, principal.subject_id, **given)
    return _me(services, principal.subject_id)


@delete(
    "/me", tags=["accounts"], sync_to_thread=True, status_code=204, responses=refuses(*_MINE, "orders_open")
)
def erase_me(request: AnyRequest, services: NamedDependency[Services]) -> Response[None]:
    """Erase my personal data for good. Orders stay as bare books without a person in them."""
    principal = identity.require_live(services, identity.require_buyer(request))
    me.erase_me(services.db, principal.subject_id)
    response: Response[None] = Response(None, status_code=204)
    if principal.via == "cookie":
        end_browser_session(services, response)
    return response


@get("/me/addresses", tags=["accounts"], sync_to_thread=True, responses=refuses(*_MINE))
def list_addresses(request: AnyRequest, services: NamedDependency[Services]) -> AddressList:
    """My address book, the oldest first."""
    principal = identity.require_live(services, identity.require_buyer(request))
    saved = addresses.list_addresses(services.db, services.kit, principal.subject_id)
    return AddressList(items=[_address_body(one.address_id, one.address) for one in saved], next_cursor=None)


@post(
    "/me/addresses",
    guards=[identity.buyers_only],
    tags=["accounts"],
    sync_to_thread=True,
    responses=refuses(*_BODY, *_MINE, "too_many_addresses"),
)
def add_address(
    data: JSONBody[NewAddress], request: AnyRequest, services: NamedDependency[Services]
) -> AddressBody:
    """Add an address."""
    principal = identity.require_live(services, identity.require_buyer(request))
    address = _address(data)
    return _address_body(
        addresses.add_address(services.db, services.kit, principal.subject_id, address), address
    )


@put(
    "/me/addresses/{address_id:str}",
    guards=[identity.buyers_only],
    tags=["accounts"],
    sync_to_thread=True,
    responses=refuses(*_BODY, *_MINE, "unknown_address"),
)
def change_address(
    address_id: FromPath[str],
    data: JSONBody[NewAddress],
    request: AnyRequest,
    services: NamedDependency[Services],
) -> AddressBody:
    """Replace an address."""
    principal = identity.require_live(services, identity.require_buyer(request))
    address = _address(data)
    addresses.change_address(services.db, services.kit, principal.subject_id, address_id, address)
    return _address_body(address_id, address)


@delete(
    "/me/addresses/{address_id:str}",
    tags=["accounts"],
    sync_to_thread=True,
    status_code=204,
    responses=refuses(*_MINE, "unknown_address"),
)
def delete_address(
    address_id: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> None:
    """Remove an address; orders keep their own copy."""
    principal = identity.require_live(services, identity.require_buyer(request))
    addresses.delete_address(services.db, principal.subject_id, address_id)


# ---------------------------------------------------------------- helpers


async def attempt(services: Services, sign_in: Any, given: Credentials, network: str) -> SignedIn:
    """Try to sign in, in the few threads for hashing. Raises TooManyAttempts, Overloaded, BadCredentials or Unverified."""
    services.attempts.admit(given.email, network)
    try:
        signed_in: SignedIn = await services.hashing.run(
            sign_in, services.db, services.kit, given.email, given.password
        )
    except BadCredentials:
        services.attempts.failed(given.email, network)
        raise
    return signed_in


def crowd_of(request: AnyRequest) -> str:
    """The network that asks, or the address itself where that is not public."""
    return network_of(client_of(request)) or client_of(request)


def client_of(request: AnyRequest) -> str:
    """The address that asks, as far as it can be believed."""
    return address_of(request.scope)


def address_of(scope: Any) -> str:
    """As `client_of`, from the scope; empty where there is none, as on a socket of this machine."""
    return str(scope["client"][0]) if scope.get("client") else ""


def session_body(services: Services, signed_in: SignedIn) -> SessionBody:
    """The tokens of a session, for programs."""
    life_s = services.settings.access_token_s
    return SessionBody(
        access_token=services.sessions.issue(signed_in, life_s),
        token_type="Bearer",
        expires_in_s=life_s,
        refresh_token=signed_in.refresh_token,
    )


def _me(services: Services, account_id: str) -> MeBody:
    mine = me.read_me(services.db, services.kit, account_id)
    return MeBody(
        account_id=mine.account_id,
        email=mine.email,
        name=mine.name,
        phone=mine.phone,
        locale=mine.locale,
        verified=mine.verified,
        created_at=mine.created_at,
    )


def _address(given: NewAddress) -> Address:
    return Address(
        recipient=given.recipient,
        line1=given.line1,
        line2=given.line2,
        city=given.city,
        postcode=given.postcode,
        country=given.country,
        phone=given.phone,
    )


def _address_body(address_id: str, address: Address) -> AddressBody:
    return AddressBody(
        address_id=address_id,
        recipient=address.recipient,
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        postcode=address.postcode,
        country=address.country,
        phone=address.phone,
    )


HANDLERS = [
    *(sign_up, verify, sign_in, refresh, sign_out, request_reset, confirm_reset),
    *(read_me, change_me, erase_me, list_addresses, add_address, change_address, delete_address),
]

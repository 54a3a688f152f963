"""Signing up, signing in, and a forgotten password."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gateway import identity
from gateway.bodies.accounts import AccountAccepted, SessionBody
from gateway.cookies import end_browser_session
from gateway.documenting import BODY, MINE, refuses
from gateway.inputs import (
    Credentials,
    NewAccount,
    Refresh,
    ResetConfirmation,
    ResetRequest,
    Verification,
)
from gateway.networks import client_of, crowd_of, network_of
from gateway.refusals import NotSignedIn
from gateway.services import Services
from gateway.signing_in import attempt, session_body
from shop.accounts import reset, sessions, signup
from shop.accounts.rules import BadCode

AnyRequest = Request[Any, Any, Any]


@post(
    "/accounts",
    status_code=202,
    tags=["accounts"],
    responses=refuses(*BODY, "too_many_attempts", "overloaded", "unavailable"),
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
        data.address.as_address() if data.address else None,
        data.locale,
    )
    services.ring_outbox()
    return AccountAccepted(account_id=account_id)


@post(
    "/accounts/verify",
    status_code=204,
    tags=["accounts"],
    responses=refuses(*BODY, "bad_code", "too_many_attempts", "unavailable"),
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
        *BODY, "bad_credentials", "unverified", "too_many_attempts", "overloaded", "unavailable"
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
    responses=refuses(*BODY, "session_ended", "unavailable"),
)
def refresh(data: JSONBody[Refresh], services: NamedDependency[Services]) -> SessionBody:
    """The next pair of tokens. The old one may be presented again for 30 s; later reuse ends the whole session."""
    return session_body(services, sessions.refresh(services.db, services.kit, data.refresh_token))


@delete(
    "/sessions/current", tags=["accounts"], sync_to_thread=True, status_code=204, responses=refuses(*MINE)
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
    responses=refuses(*BODY, "too_many_attempts", "unavailable"),
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
    responses=refuses(*BODY, "bad_code", "too_many_attempts", "overloaded", "unavailable"),
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


HANDLERS = [sign_up, verify, sign_in, refresh, sign_out, request_reset, confirm_reset]

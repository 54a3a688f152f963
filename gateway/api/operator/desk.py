"""Operators sign in, and look at orders and at what was changed by whom."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from gateway import identity, operating
from gateway.api.accounts import attempt, client_of, session_body
from gateway.bodies.operator import AuditList, OperatorOrderList, OperatorSessionBody
from gateway.documenting import refuses
from gateway.inputs import Credentials
from gateway.services import Services
from shop.accounts.sessions import operator_sign_in

AnyRequest = Request[Any, Any, Any]
Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the part before")]
Limit = Annotated[int, QueryParameter(description="1 to 200", ge=1, le=200)]

_MINE = ("two_identities", "not_signed_in", "forbidden", "unavailable", "bad_fields")


@post(
    "/sessions",
    tags=["operator"],
    status_code=200,
    responses=refuses(
        "unreadable_body", "bad_fields", "bad_credentials", "too_many_attempts", "overloaded", "unavailable"
    ),
)
async def sign_in(
    data: JSONBody[Credentials], request: AnyRequest, services: NamedDependency[Services]
) -> OperatorSessionBody:
    """Sign an operator in."""
    signed_in = await attempt(services, operator_sign_in, data, client_of(request))
    tokens = session_body(services, signed_in)
    return OperatorSessionBody(
        access_token=tokens.access_token,
        token_type=tokens.token_type,
        expires_in_s=tokens.expires_in_s,
        refresh_token=tokens.refresh_token,
        role=signed_in.role,
    )


@get("/orders", tags=["operator"], responses=refuses(*_MINE, "unknown_sale"))
async def list_orders(
    request: AnyRequest,
    services: NamedDependency[Services],
    sale: Annotated[str | None, QueryParameter(description="the slug of one sale")] = None,
    order_state: Annotated[str | None, QueryParameter(name="state", description="one state")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> OperatorOrderList:
    """Decided orders, the newest first; without personal data."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(operating.list_orders, services, sale, order_state, cursor, limit)


@get("/audit", tags=["operator"], responses=refuses(*_MINE))
async def list_audit(
    request: AnyRequest, services: NamedDependency[Services], cursor: Cursor = None, limit: Limit = 50
) -> AuditList:
    """What operators changed, the newest first."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(operating.list_audit, services, cursor, limit)


HANDLERS = [sign_in, list_orders, list_audit]

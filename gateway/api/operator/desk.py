"""Operators sign in, and look at what was changed by whom."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from gateway import identity, records
from gateway.api.operator.answers import MINE, Cursor, Limit, Sale, csv_file
from gateway.bodies.operator import AuditList, OperatorSessionBody
from gateway.documenting import refuses
from gateway.inputs import Credentials
from gateway.networks import crowd_of
from gateway.services import Services
from gateway.signing_in import attempt, session_body
from shop.accounts.sessions import operator_sign_in

AnyRequest = Request[Any, Any, Any]


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
    signed_in = await attempt(services, operator_sign_in, data, crowd_of(request))
    tokens = session_body(services, signed_in)
    return OperatorSessionBody(
        access_token=tokens.access_token,
        token_type=tokens.token_type,
        expires_in_s=tokens.expires_in_s,
        refresh_token=tokens.refresh_token,
        role=signed_in.role,
    )


@get("/audit", tags=["operator"], responses=refuses(*MINE, "bad_fields", "unknown_sale"))
async def list_audit(
    request: AnyRequest,
    services: NamedDependency[Services],
    sale: Sale = None,
    action: Annotated[str | None, QueryParameter(description="one action", max_length=48)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditList:
    """What operators changed, the newest first."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(records.list_audit, services, sale, action, cursor, limit)


@get(
    "/audit.csv",
    tags=["operator"],
    media_type="text/csv",
    responses=refuses(*MINE, "unknown_sale"),
)
async def export_audit(request: AnyRequest, services: NamedDependency[Services], sale: Sale = None) -> Stream:
    """The whole list as a table for a spreadsheet (CSV, UTF-8), the newest first."""
    await identity.require_live_operator(request, services, "viewer")
    return await csv_of_audit(services, sale)


async def csv_of_audit(services: Services, sale: str | None) -> Stream:
    """The table as a file, read from the database in parts. Raises UnknownSale."""
    parts = await services.threads(records.audit_csv, services, sale)
    return csv_file(services, f"audit-{sale}.csv" if sale else "audit.csv", parts)


HANDLERS = [sign_in, list_audit, export_audit]

"""What is stuck, having it tried again, and whether the books add up."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from gateway import identity, troubles
from gateway.api.operator.answers import MINE
from gateway.bodies.cases import ReconciliationBody, StuckList
from gateway.documenting import refuses
from gateway.services import Services

AnyRequest = Request[Any, Any, Any]


@get("/stuck", tags=["operator"], responses=refuses(*MINE))
async def list_stuck(request: AnyRequest, services: NamedDependency[Services]) -> StuckList:
    """Everything that does not go on by itself."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(troubles.list_stuck, services)


@post(
    "/effects/{outbox_id:int}/retry",
    guards=[identity.operators_only],
    tags=["operator"],
    status_code=204,
    responses=refuses(*MINE, "not_stuck"),
)
async def retry(outbox_id: FromPath[int], request: AnyRequest, services: NamedDependency[Services]) -> None:
    """Have a letter, refund or cancellation that was given up tried again."""
    principal = await identity.require_live_operator(request, services, "operator")
    await services.threads(troubles.retry, services, principal, outbox_id)


@get("/reconciliation", tags=["operator"], responses=refuses(*MINE, "overloaded"))
async def read_reconciliation(request: AnyRequest, services: NamedDependency[Services]) -> ReconciliationBody:
    """Compare ledger, counters, reservations, orders and payments as they are now; changes nothing."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(troubles.reconciliation, services)


HANDLERS = [list_stuck, retry, read_reconciliation]

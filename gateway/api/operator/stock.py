"""Operators steer stock: units of a running sale, and the count of the shelf. Every change says why."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway import identity, stocking
from gateway.api.operator.answers import BODY, MINE, tagged
from gateway.bodies.operator import OperatorSaleBody, ShelfBody, ShelfList
from gateway.documenting import refuses
from gateway.inputs import Allotment, ShelfChange
from gateway.services import Services

AnyRequest = Request[Any, Any, Any]


@put(
    "/sales/{sale:str}/stock/{product_id:str}",
    guards=[identity.operators_only],
    tags=["operator"],
    responses=refuses(*MINE, *BODY, "unknown_sale", "not_on_sale", "illegal_move"),
)
async def set_allotment(
    sale: FromPath[str],
    product_id: FromPath[str],
    data: JSONBody[Allotment],
    request: AnyRequest,
    services: NamedDependency[Services],
) -> Response[OperatorSaleBody]:
    """Allot so many units in all, from the shelf or back to it; never fewer than are held and sold."""
    principal = await identity.require_live_operator(request, services, "operator")
    body = await services.threads(stocking.set_allotment, services, principal, sale, product_id, data)
    await services.snapshot.renew()
    return tagged(body)


@get("/products", tags=["operator"], responses=refuses(*MINE))
async def list_shelves(request: AnyRequest, services: NamedDependency[Services]) -> ShelfList:
    """What every product has on hand, beside what its sales were allotted."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(stocking.list_shelves, services)


@post(
    "/products/{product_id:str}/stock",
    guards=[identity.operators_only],
    tags=["operator"],
    status_code=200,
    responses=refuses(*MINE, *BODY, "unknown_product", "precondition_failed"),
)
async def adjust_on_hand(
    product_id: FromPath[str],
    data: JSONBody[ShelfChange],
    request: AnyRequest,
    services: NamedDependency[Services],
) -> ShelfBody:
    """Add units to the shelf or take some off; with `was` it is done once, however often it is sent."""
    principal = await identity.require_live_operator(request, services, "operator")
    return await services.threads(stocking.adjust_on_hand, services, principal, product_id, data)


HANDLERS = [set_allotment, list_shelves, adjust_on_hand]

"""Operators run sales: list, create, read, change, act, watch."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.response import Stream

from gateway import identity, operating
from gateway.api.operator.answers import BODY, MINE, Cursor, Limit, tagged
from gateway.bodies.operator import FiguresBody, OperatorSaleBody, OperatorSaleList
from gateway.documenting import refuses
from gateway.figures import figures as live_figures
from gateway.inputs import Action, NewSale, SaleChange
from gateway.refusals import IfMatchMissing, VersionStale
from gateway.services import Services

AnyRequest = Request[Any, Any, Any]


@get("/sales", tags=["operator"], responses=refuses(*MINE, "bad_fields"))
async def list_sales(
    request: AnyRequest, services: NamedDependency[Services], cursor: Cursor = None, limit: Limit = 50
) -> OperatorSaleList:
    """All sales, drafts included, the newest first."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(operating.list_sales, services, cursor, limit)


@post(
    "/sales",
    guards=[identity.operators_only],
    tags=["operator"],
    status_code=201,
    responses=refuses(*MINE, *BODY),
)
async def create_sale(
    data: JSONBody[NewSale], request: AnyRequest, services: NamedDependency[Services]
) -> Response[OperatorSaleBody]:
    """Create a sale; it is live at once unless `draft`."""
    principal = await identity.require_live_operator(request, services, "operator")
    body = await services.threads(operating.create_sale, services, principal, data)
    await services.snapshot.renew()
    return tagged(body, 201)


@get("/sales/{sale:str}", tags=["operator"], responses=refuses(*MINE, "unknown_sale"))
async def read_sale(
    sale: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> Response[OperatorSaleBody]:
    """One sale by its slug; its version is the ETag."""
    await identity.require_live_operator(request, services, "viewer")
    return tagged(await services.threads(operating.read_sale, services, sale))


@patch(
    "/sales/{sale:str}",
    guards=[identity.operators_only],
    tags=["operator"],
    responses=refuses(
        *MINE, *BODY, "unknown_sale", "sale_frozen", "precondition_required", "precondition_failed"
    ),
)
async def change_sale(
    sale: FromPath[str],
    data: JSONBody[SaleChange],
    request: AnyRequest,
    services: NamedDependency[Services],
    if_match: Annotated[
        str | None,
        HeaderParameter(name="If-Match", description="the ETag that the change was made from; needed"),
    ] = None,
) -> Response[OperatorSaleBody]:
    """Change what is given, of the version in `If-Match`."""
    principal = await identity.require_live_operator(request, services, "operator")
    version = _version(if_match)
    body = await services.threads(operating.change_sale, services, principal, sale, version, data)
    await services.snapshot.renew()
    return tagged(body)


@post(
    "/sales/{sale:str}/actions/{action:str}",
    guards=[identity.operators_only],
    tags=["operator"],
    status_code=200,
    responses=refuses(*MINE, *BODY, "unknown_sale", "unknown_action", "illegal_move"),
)
async def act(
    sale: FromPath[str],
    action: FromPath[str],
    request: AnyRequest,
    services: NamedDependency[Services],
    data: JSONBody[Action | None] = None,
) -> Response[OperatorSaleBody]:
    """publish, open, pause, halt, resume, drain, close, cancel, set-rate, set-capacity, announce or extend-holds."""
    principal = await identity.require_live_operator(request, services, "operator")
    body = await services.threads(operating.act, services, principal, sale, action, data)
    await services.snapshot.renew()
    return tagged(body)


@get(
    "/sales/{sale:str}/figures",
    tags=["operator"],
    responses=refuses(*MINE, "unknown_sale", "room_unavailable", "overloaded"),
)
async def figures(
    sale: FromPath[str],
    request: AnyRequest,
    services: NamedDependency[Services],
    accept: Annotated[
        str, HeaderParameter(name="Accept", description="text/event-stream: figures every second, as events")
    ] = "",
) -> Response[FiguresBody] | Stream:
    """Line, checkout, stock and orders of a sale as they are now, and the calls of the last minutes.

    Asked for `text/event-stream`, the same once a second as server-sent events, until the session ends.
    """
    principal = await identity.require_live_operator(request, services, "viewer")
    if "text/event-stream" not in accept:
        return Response(await live_figures(services, sale))
    await services.threads(operating.read_sale, services, sale)
    events = services.watch.watch(sale, principal.session_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(events, media_type="text/event-stream", headers=headers)


def _version(if_match: str | None) -> int:
    """The version that the change was made from. Raises IfMatchMissing, or VersionStale for a tag that none of ours is."""
    if not if_match:
        raise IfMatchMissing("send the ETag that you have read in If-Match")
    text = if_match.strip().strip('"')
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise VersionStale("the sale has another version")
    return int(text)


HANDLERS = [list_sales, create_sale, read_sale, change_sale, act, figures]

"""Operators find orders, and read the whole story of one."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from gateway import cases, exports, identity, records
from gateway.api.operator.answers import BODY, MINE, Cursor, Limit, Sale, csv_file
from gateway.bodies.cases import OrderStoryBody
from gateway.bodies.operator import OperatorOrderList
from gateway.documenting import refuses
from gateway.inputs import BuyerSearch
from gateway.services import Services
from gateway.sessions import Principal

AnyRequest = Request[Any, Any, Any]


@get("/orders", tags=["operator"], responses=refuses(*MINE, "bad_fields", "unknown_sale"))
async def list_orders(
    request: AnyRequest,
    services: NamedDependency[Services],
    sale: Sale = None,
    order_state: Annotated[str | None, QueryParameter(name="state", description="one state")] = None,
    product_id: Annotated[str | None, QueryParameter(description="with this product")] = None,
    account_id: Annotated[str | None, QueryParameter(description="of this buyer")] = None,
    order_id: Annotated[str | None, QueryParameter(description="this order")] = None,
    payment_id: Annotated[str | None, QueryParameter(description="that this payment is for")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> OperatorOrderList:
    """Orders, the newest first; without personal data. Those that still wait for their decision have the state `queued`."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(
        records.list_orders,
        services,
        sale,
        order_state,
        cursor,
        limit,
        product_id=product_id,
        account_id=account_id,
        order_id=order_id,
        payment_id=payment_id,
    )


@post(
    "/orders/search",
    guards=[identity.operators_only],
    tags=["operator"],
    status_code=200,
    responses=refuses(*MINE, *BODY),
)
async def search_orders(
    data: JSONBody[BuyerSearch], request: AnyRequest, services: NamedDependency[Services]
) -> OperatorOrderList:
    """The newest orders of the buyer with an e-mail address; audited. By order or payment id, see the list."""
    principal = await identity.require_live_operator(request, services, "operator")
    return await services.threads(cases.orders_of, services, principal, data.email)


@get("/orders/{order_id:str}", tags=["operator"], responses=refuses(*MINE, "unknown_order"))
async def read_story(
    order_id: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> OrderStoryBody:
    """One order with its whole story. Viewers see the buyer masked; for operators the look is audited."""
    principal = await identity.require_live_operator(request, services, "viewer")
    person = await services.threads(cases.person_for, services, principal, order_id)
    return await services.threads(cases.tell, services, order_id, person)


@get("/orders.csv", tags=["operator"], media_type="text/csv", responses=refuses(*MINE, "unknown_sale"))
async def export_orders(
    request: AnyRequest, services: NamedDependency[Services], sale: Sale = None
) -> Stream:
    """Orders as a table (CSV, UTF-8), the newest first. For operators with their buyers, which is audited; for viewers without."""
    principal = await identity.require_live_operator(request, services, "viewer")
    return await csv_of_orders(services, principal, sale)


@get("/ledger.csv", tags=["operator"], media_type="text/csv", responses=refuses(*MINE, "unknown_sale"))
async def export_ledger(
    request: AnyRequest, services: NamedDependency[Services], sale: Sale = None
) -> Stream:
    """Every movement of stock as a table (CSV, UTF-8), the first first."""
    await identity.require_live_operator(request, services, "viewer")
    return await csv_of_ledger(services, sale)


async def csv_of_orders(services: Services, principal: Principal, sale: str | None) -> Stream:
    """The table as a file. Raises UnknownSale."""
    parts = await services.threads(exports.orders_csv, services, principal, sale)
    return csv_file(services, f"orders-{sale}.csv" if sale else "orders.csv", parts)


async def csv_of_ledger(services: Services, sale: str | None) -> Stream:
    """The table as a file. Raises UnknownSale."""
    parts = await services.threads(exports.ledger_csv, services, sale)
    return csv_file(services, f"ledger-{sale}.csv" if sale else "ledger.csv", parts)


HANDLERS = [export_orders, export_ledger, list_orders, search_orders, read_story]

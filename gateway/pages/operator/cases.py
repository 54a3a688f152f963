"""Orders for operators: found by what a buyer can name, and one order from its beginning."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from gateway import cases, operating, records
from gateway.api.operator.cases import csv_of_ledger, csv_of_orders
from gateway.bodies.cases import PersonBody
from gateway.pages.operator.door import may_change, operator_of
from gateway.pages.operator.live import ORDER_STATES
from gateway.pages.render import AnyRequest, form_of, page, see_other, services_for, visitor_of
from gateway.problems import Problem
from gateway.services import Services
from gateway.sessions import Principal

State = Annotated[str, QueryParameter(name="state")]


@get("/operator/orders", include_in_schema=False)
async def orders_page(
    request: AnyRequest,
    sale: FromQuery[str] = "",
    order_state: State = "",
    product: FromQuery[str] = "",
    account: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
    missing: FromQuery[str] = "",
) -> Response[str]:
    """Orders, the newest first, narrowed down by sale, state, product or buyer; and the search."""
    services = services_for(request)
    principal = await operator_of(request)
    chosen = order_state if order_state in ORDER_STATES else ""
    window = await services.threads(operating.read_sale, services, sale) if sale else None
    found = await services.threads(
        records.list_orders,
        services,
        sale or None,
        chosen or None,
        cursor,
        product_id=product or None,
        account_id=account or None,
    )
    asked = {"sale": sale, "state": chosen, "product": product, "account": account}
    kept = {name: value for name, value in asked.items() if value}
    older = (
        f"/operator/orders?{urlencode({**kept, 'cursor': found.next_cursor})}" if found.next_cursor else None
    )
    return page(
        request,
        "operator/orders.html",
        sale=window,
        orders=found.items,
        order_states=ORDER_STATES,
        products=services.snapshot.products(),
        asked=asked,
        missing=missing,
        may_change=may_change(principal),
        next_href=older,
    )


@get("/operator/sales/{sale:str}/orders", include_in_schema=False)
async def orders_of_sale(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """The orders of a sale."""
    await operator_of(request)
    return see_other(f"/operator/orders?{urlencode({'sale': sale})}")


@post("/operator/orders/search", include_in_schema=False)
async def search(request: AnyRequest) -> Response[Any]:
    """On to what was looked for: a buyer by e-mail address, an order by its id or by that of a payment."""
    services, form = services_for(request), await form_of(request)
    wanted = form["wanted"].strip()
    if "@" not in wanted:
        await operator_of(request)
        found = await services.threads(_order_id, services, wanted)
        return see_other(f"/operator/orders/{found}" if found else "/operator/orders?missing=order")
    principal = await operator_of(request, "operator")
    account_id = await services.threads(cases.account_of, services, principal, wanted)
    return see_other(
        f"/operator/orders?{urlencode({'account': account_id})}"
        if account_id
        else "/operator/orders?missing=buyer"
    )


def _order_id(services: Services, wanted: str) -> str | None:
    """The id of the order that is meant, None where there is none."""
    for name in ("order_id", "payment_id"):
        found = records.list_orders(services, limit=1, **{name: wanted}).items
        if found:
            return found[0].order_id
    return None


@get("/operator/orders/{order_id:str}", include_in_schema=False)
async def order_page(
    request: AnyRequest, order_id: FromPath[str], done: FromQuery[str] = ""
) -> Response[str]:
    """One order from its beginning; its buyer masked until asked for."""
    return await render_order(request, await operator_of(request), order_id, done=done)


@post("/operator/orders/{order_id:str}/person", include_in_schema=False)
async def open_person(request: AnyRequest, order_id: FromPath[str]) -> Response[str]:
    """The same with the buyer as they are; the look is audited."""
    services = services_for(request)
    principal = await operator_of(request, "operator")
    person = await services.threads(cases.person_for, services, principal, order_id)
    return await render_order(request, principal, order_id, person=person)


async def render_order(
    request: AnyRequest,
    principal: Principal,
    order_id: str,
    *,
    person: PersonBody | None = None,
    done: str = "",
    problem: Problem | None = None,
) -> Response[str]:
    """The page of an order, with what was done or refused above it. Raises UnknownOrder."""
    services = services_for(request)
    if person is None:
        person = await services.threads(cases.masked_person, services, order_id)
    told = await services.threads(cases.tell, services, order_id, person)
    return page(
        request,
        "operator/order.html",
        problem=problem,
        told=told,
        may_change=may_change(principal),
        done=visitor_of(request).words.hand_done(done),
    )


@get("/operator/orders.csv", include_in_schema=False)
async def export_orders(request: AnyRequest, sale: FromQuery[str] = "") -> Stream:
    """Orders as a table; for operators with their buyers, which is audited."""
    return await csv_of_orders(services_for(request), await operator_of(request), sale or None)


@get("/operator/ledger.csv", include_in_schema=False)
async def export_ledger(request: AnyRequest, sale: FromQuery[str] = "") -> Stream:
    """Every movement of stock as a table."""
    await operator_of(request)
    return await csv_of_ledger(services_for(request), sale or None)


HANDLERS: list[Any] = [
    export_orders,
    export_ledger,
    orders_page,
    orders_of_sale,
    search,
    order_page,
    open_person,
]

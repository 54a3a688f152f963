"""The list of sale windows, the form of a new one, and the form by which one is changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from gateway import operating
from gateway.bodies.operator import OperatorSaleBody
from gateway.inputs import NewSale, SaleChange
from gateway.pages.operator import fields
from gateway.pages.operator.door import may_change, operator_of
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    Form,
    form_of,
    page,
    problem_from,
    see_other,
    services_for,
    visitor_of,
)
from gateway.problems import Problem
from gateway.reading import check
from shop.catalogue.rules import Product
from shop.sales.rules import MODES, StaleVersion

ALL_FIELDS = (
    *("slug", "title", "mode", *fields.MOMENTS, *fields.NUMBERS, "over_call_limit", "items", "message"),
    *fields.SWITCHES,
)


@get("/operator", include_in_schema=False)
async def sales_page(request: AnyRequest, cursor: FromQuery[str | None] = None) -> Response[str]:
    """All sale windows, the newest first."""
    services, principal = services_for(request), await operator_of(request)
    found = await services.threads(operating.list_sales, services, cursor)
    older = f"/operator?cursor={found.next_cursor}" if found.next_cursor else None
    return page(
        request,
        "operator/sales.html",
        sales=found.items,
        next_href=older,
        may_change=may_change(principal),
    )


# ---------------------------------------------------------------- a new one


@get("/operator/sales/new", include_in_schema=False)
async def new_sale_page(request: AnyRequest) -> Response[str]:
    """The form of a new sale window."""
    await operator_of(request, "operator")
    return _render(request, fields.blank(datetime.now(UTC), _home_zone(request)))


@post("/operator/sales/new", include_in_schema=False)
async def create_sale(request: AnyRequest) -> Response[Any]:
    """Keep a draft and show what it will look like, or publish at once."""
    services, form = services_for(request), await form_of(request)
    principal = await operator_of(request, "operator")
    draft = form["then"] != "publish"
    try:
        read = fields.Reader(form, services.snapshot.catalogue().products).fields(ALL_FIELDS)
        wanted = check({**read, "draft": draft}, NewSale)
        sale = await services.threads(operating.create_sale, services, principal, wanted)
    except REFUSALS as error:
        return _render(request, form, problem=fields.by_field(problem_from(error), form))
    return see_other(f"/operator/sales/{sale.slug}{'/preview' if draft else ''}?done=create")


# ---------------------------------------------------------------- a change


@get("/operator/sales/{sale:str}/edit", include_in_schema=False)
async def edit_page(request: AnyRequest, sale: FromPath[str]) -> Response[str]:
    """The form of a sale as it is; what buyers have been told already is shown, not asked."""
    services = services_for(request)
    await operator_of(request, "operator")
    present = await services.threads(operating.read_sale, services, sale)
    return _render(request, fields.filled(present, _home_zone(request)), sale=present)


@post("/operator/sales/{sale:str}/edit", include_in_schema=False)
async def change_sale(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """Change what is different, of the version that the form was made from."""
    services, form = services_for(request), await form_of(request)
    principal = await operator_of(request, "operator")
    present = await services.threads(operating.read_sale, services, sale)
    version = int(form["version"]) if form["version"].isdecimal() and len(form["version"]) < 10 else 0
    try:
        change = _change(form, present, services.snapshot.catalogue().products)
        changed = await services.threads(operating.change_sale, services, principal, sale, version, change)
    except StaleVersion as error:
        theirs = fields.differing(form, fields.filled(present, form["zone"] or "UTC"))
        form["version"] = str(error.current)
        return _render(request, form, sale=present, problem=problem_from(error), theirs=theirs)
    except REFUSALS as error:
        return _render(request, form, sale=present, problem=fields.by_field(problem_from(error), form))
    onward = "/preview" if changed.control == "draft" else ""
    return see_other(f"/operator/sales/{changed.slug}{onward}?done=change")


def _change(form: Form, present: OperatorSaleBody, products: Sequence[Product]) -> SaleChange:
    """Every field that may still be changed. A time that says the same minute as before stays to the millisecond."""
    frozen = operating.frozen_fields(present)
    read = fields.Reader(form, products).fields(name for name in ALL_FIELDS if name not in frozen)
    for name in fields.MOMENTS:
        before = getattr(present, name).replace(second=0, microsecond=0)
        if read.get(name) == before:
            del read[name]
    return check(read, SaleChange)


def _home_zone(request: AnyRequest) -> str:
    return fields.HOME_ZONES[visitor_of(request).locale]


def _render(
    request: AnyRequest,
    form: Form,
    *,
    sale: OperatorSaleBody | None = None,
    problem: Problem | None = None,
    theirs: list[tuple[str, str, str]] | None = None,
) -> Response[str]:
    zones = dict.fromkeys((form["zone"] or "UTC", *fields.ZONES))
    return page(
        request,
        "operator/form.html",
        problem=problem,
        form=form,
        sale=sale,
        theirs=theirs or [],
        frozen=operating.frozen_fields(sale) if sale else frozenset(),
        products=_in_order(services_for(request).snapshot.catalogue().products, sale),
        fine_faults=problem is not None and any(fault.field in fields.FINE for fault in problem.errors),
        modes=MODES,
        zones=list(zones),
    )


def _in_order(products: Sequence[Product], sale: OperatorSaleBody | None) -> list[Product]:
    """Those of the sale first, in its own order, so that a form that is sent back unchanged changes nothing."""
    places = {item.product_id: at for at, item in enumerate(sale.items)} if sale else {}
    return sorted(products, key=lambda product: places.get(product.product_id, len(places)))


HANDLERS: list[Any] = [sales_page, new_sale_page, create_sale, edit_page, change_sale]

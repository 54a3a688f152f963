"""The shelf, and units that move between it and a sale."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from gateway import stocking
from gateway.bodies.problems import FieldFault
from gateway.inputs import Allotment, ShelfChange
from gateway.pages.operator import fields
from gateway.pages.operator.door import may_change, operator_of
from gateway.pages.operator.live import render_sale
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
from gateway.refusals import BadFields
from gateway.sessions import Principal


@post("/operator/sales/{sale:str}/stock/{product_id:str}", include_in_schema=False)
async def set_allotment(request: AnyRequest, sale: FromPath[str], product_id: FromPath[str]) -> Response[Any]:
    """So many units of a product for the whole sale."""
    services, form = services_for(request), await form_of(request)
    principal = await operator_of(request, "operator")
    try:
        reader = fields.Reader(form, ())
        allotted = reader.whole("allotted")
        if reader.faults:
            raise BadFields(reader.faults)
        wanted = check({"allotted": allotted, "reason": form["reason"].strip()}, Allotment)
        await services.threads(stocking.set_allotment, services, principal, sale, product_id, wanted)
    except REFUSALS as error:
        problem = _at(problem_from(error), product_id)
        return await render_sale(request, principal, sale, problem=problem, form=_named(form, product_id))
    return see_other(f"/operator/sales/{sale}?done=set-allotment")


@get("/operator/stock", include_in_schema=False)
async def shelves_page(request: AnyRequest, done: FromQuery[str] = "") -> Response[str]:
    """What every product has on hand."""
    return await _render_shelves(request, await operator_of(request), done=done)


@post("/operator/stock/{product_id:str}", include_in_schema=False)
async def adjust(request: AnyRequest, product_id: FromPath[str]) -> Response[Any]:
    """Put the count of a shelf right; sent twice, it is done once."""
    services, form = services_for(request), await form_of(request)
    principal = await operator_of(request, "operator")
    try:
        wanted = check(_change(form), ShelfChange)
        await services.threads(stocking.adjust_on_hand, services, principal, product_id, wanted)
    except REFUSALS as error:
        problem = _at(problem_from(error), product_id)
        return await _render_shelves(request, principal, problem=problem, form=_named(form, product_id))
    return see_other("/operator/stock?done=adjust-on-hand")


def _change(form: Form) -> dict[str, Any]:
    """Raises BadFields."""
    text = form["change"].strip().replace("−", "-")
    digits = text.removeprefix("+").removeprefix("-")
    was = form["was"]
    if not digits.isdecimal() or len(digits) > 12 or not was.isdecimal() or len(was) > 12:
        raise BadFields([FieldFault(field="change", message="must be a whole number, such as 5 or -3")])
    units = -int(digits) if text.startswith("-") else int(digits)
    return {"change": units, "reason": form["reason"].strip(), "was": int(was)}


async def _render_shelves(
    request: AnyRequest,
    principal: Principal,
    *,
    done: str = "",
    problem: Problem | None = None,
    form: Form | None = None,
) -> Response[str]:
    services = services_for(request)
    found = await services.threads(stocking.list_shelves, services)
    return page(
        request,
        "operator/stock.html",
        problem=problem,
        shelves=found.items,
        typed=form or Form(),
        may_change=may_change(principal),
        done=visitor_of(request).words.action_word(done),
    )


def _at(problem: Problem, product_id: str) -> Problem:
    """Every product has a form of its own on these pages: a fault belongs to that of this product."""
    errors = tuple(
        FieldFault(field=f"{fault.field}-{product_id}", message=fault.message) for fault in problem.errors
    )
    return Problem(problem.status, problem.code, problem.title, problem.detail, errors, problem.retry_after_s)


def _named(form: Form, product_id: str) -> Form:
    return Form({f"{name}-{product_id}": value for name, value in form.items()})


HANDLERS: list[Any] = [set_allotment, shelves_page, adjust]

"""What an operator does to one order. Each act has a page of its own that says what will come of it and asks once more; the shop
decides again, so that a page that has grown old, or a doubled click, does nothing twice.
"""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from gateway import cases, steering_orders
from gateway.bodies.cases import OrderStoryBody
from gateway.bodies.problems import FieldFault
from gateway.inputs import OrderAction
from gateway.pages.operator.cases import render_order
from gateway.pages.operator.door import operator_of
from gateway.pages.operator.fields import minor_units
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    Form,
    form_of,
    page,
    problem_from,
    see_other,
    services_for,
)
from gateway.problems import Problem
from gateway.reading import check
from gateway.refusals import BadFields, UnknownAction
from shop.orders.fulfil import GoodsAction
from shop.payments.review import ReviewStep

# What cannot be taken back.
GRAVE = frozenset({"cancel", "refund", GoodsAction.REFUSE_RETURN, ReviewStep.RETURN})
PART = "part"


@get("/operator/orders/{order_id:str}/do/{action:str}", include_in_schema=False)
async def ask(request: AnyRequest, order_id: FromPath[str], action: FromPath[str]) -> Response[Any]:
    """What will come of it, and the question whether that is meant."""
    await operator_of(request, "operator")
    return await _render(request, order_id, action)


@post("/operator/orders/{order_id:str}/do/{action:str}", include_in_schema=False)
async def act(request: AnyRequest, order_id: FromPath[str], action: FromPath[str]) -> Response[Any]:
    """Do it, and show what has become of the order."""
    services, form = services_for(request), await form_of(request)
    principal = await operator_of(request, "operator")
    try:
        given = _given(action, form)
        await services.threads(steering_orders.act, services, principal, order_id, action, given)
    except REFUSALS as error:
        problem = problem_from(error)
        if problem.errors:
            return await _render(request, order_id, action, problem=problem, form=form)
        return await render_order(request, principal, order_id, problem=problem)
    return see_other(f"/operator/orders/{order_id}?done={action}")


def _given(action: str, form: Form) -> OrderAction:
    """Raises BadFields."""
    values: dict[str, Any] = {}
    if form["reason"].strip():
        values["reason"] = form["reason"].strip()
    if action == "refund":
        was = form["was"]
        values["was"] = int(was) if was.isdecimal() and len(was) < 16 else 0
        if form["how_much"] == PART:
            amount = minor_units(form["amount"], form["currency"])
            if amount is None or amount < 1:
                raise BadFields([FieldFault(field="amount", message="must be an amount of money")])
            values["amount"] = amount
    return check(values, OrderAction)


async def _render(
    request: AnyRequest,
    order_id: str,
    action: str,
    *,
    problem: Problem | None = None,
    form: Form | None = None,
) -> Response[Any]:
    """The page of one act; the order's own where that is not to be done any more."""
    if action not in steering_orders.ACTIONS:
        raise UnknownAction("there is no such action")
    services = services_for(request)
    person = await services.threads(cases.masked_person, services, order_id)
    told: OrderStoryBody = await services.threads(cases.tell, services, order_id, person)
    if action not in told.actions and problem is None:
        return see_other(f"/operator/orders/{order_id}")
    return page(
        request,
        "operator/order_action.html",
        problem=problem,
        action=action,
        order=told.order,
        person=told.person,
        refund=told.refundable if action == "refund" else None,
        reasoned=action in steering_orders.NEED_REASON,
        grave=action in GRAVE,
        typed=form or Form(),
    )


HANDLERS: list[Any] = [ask, act]

"""The page of a rehearsal: what is expected is typed in, what would happen is shown, and what is recommended can be set."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from gateway import operating, rehearsing
from gateway.pages.operator import fields
from gateway.pages.operator.door import operator_of
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    Form,
    form_of,
    page,
    problem_from,
    services_for,
    visitor_of,
)
from gateway.problems import Problem
from gateway.refusals import BadFields
from rehearsal.plan import Plan
from rehearsal.report import Report
from shop.sales import rules

# Typed as per cent.
SHARES = ("before_opening", "no_show_share", "come_back_share", "leave_share", "unpaid_share")
NUMBERS = (
    *("crowd", "spike_s", "checkout_median_s", "checkout_p90_s", "payment_median_s", "payment_p90_s"),
    *(
        "stock",
        "calls_per_minute",
        "capacity",
        "turn_window_s",
        "comeback_s",
        "hold_s",
        "pass_s",
        "lasts_s",
        "seed",
    ),
)


@get("/operator/sales/{sale:str}/rehearsal", include_in_schema=False)
async def rehearsal_page(request: AnyRequest, sale: FromPath[str]) -> Response[str]:
    """The form, with the settings of the sale and a crowd of ten for each unit."""
    await operator_of(request, "operator")
    return await _render(request, sale, filled(await rehearsing.suggested(services_for(request), sale)))


@post("/operator/sales/{sale:str}/rehearsal", include_in_schema=False)
async def rehearse(request: AnyRequest, sale: FromPath[str]) -> Response[str]:
    """Rehearse, and show what would happen; nothing is set by it."""
    form = await form_of(request)
    await operator_of(request, "operator")
    try:
        report = await rehearsing.rehearse(services_for(request), sale, read(form))
    except REFUSALS as error:
        return await _render(request, sale, form, problem=problem_from(error))
    return await _render(request, sale, form, report=report)


def filled(plan: Plan) -> Form:
    """The form of a plan."""
    form = Form({name: str(getattr(plan, name)) for name in NUMBERS})
    form |= {name: str(round(100 * getattr(plan, name))) for name in SHARES}
    form["over_call_limit"] = f"{plan.over_call_limit:g}"
    return form


def read(form: Form) -> dict[str, Any]:
    """The fields of a plan. Raises BadFields."""
    reader = fields.Reader(form, ())
    values: dict[str, Any] = {name: reader.whole(name) for name in NUMBERS}
    values |= {name: reader.whole(name) / 100 for name in SHARES}
    values["over_call_limit"] = reader.factor("over_call_limit")
    if reader.faults:
        raise BadFields(reader.faults)
    return values


async def _render(
    request: AnyRequest,
    slug: str,
    form: Form,
    *,
    report: Report | None = None,
    problem: Problem | None = None,
) -> Response[str]:
    sale = await services_for(request).threads(operating.read_sale, services_for(request), slug)
    steerable = rules.Control(sale.control) in rules.ACTIONS[rules.Action.SET_RATE]
    return page(
        request,
        "operator/rehearsal.html",
        problem=problem,
        sale=sale,
        form=form,
        report=report,
        steerable=steerable,
        limits=dict(visitor_of(request).words.limits()),
        samples=msgspec.json.encode(report.outcome.samples).decode() if report else "",
    )


HANDLERS: list[Any] = [rehearsal_page, rehearse]

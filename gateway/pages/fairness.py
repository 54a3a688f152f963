"""How fair a sale was, as pages: one for everybody once it has ended, one for operators at any time."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from gateway import fairness
from gateway.api.fairness import KEPT_A_MINUTE, csv_of_calls
from gateway.bodies.fairness import FairnessBody
from gateway.pages.operator.door import operator_of
from gateway.pages.render import PUBLIC, AnyRequest, page, services_for, services_with, visitor_of


@get("/sales/{sale:str}/fairness", include_in_schema=False)
async def public_page(request: AnyRequest, sale: FromPath[str]) -> Response[str]:
    """The summary for everybody."""
    services = await services_with(request, sale)
    report = await services.reports.summary(services, sale)
    shown = PUBLIC | KEPT_A_MINUTE if visitor_of(request).principal is None else {}
    return page(request, "buyer/fairness.html", headers=shown, report=report, fair=is_fair(report))


@get("/operator/sales/{sale:str}/fairness", include_in_schema=False)
async def operators_page(request: AnyRequest, sale: FromPath[str]) -> Response[str]:
    """The whole report."""
    services = services_for(request)
    await operator_of(request)
    report = await services.threads(fairness.report, services, sale)
    return page(request, "operator/fairness.html", report=report, fair=is_fair(report))


@get("/operator/sales/{sale:str}/fairness.csv", include_in_schema=False)
async def export_calls(request: AnyRequest, sale: FromPath[str]) -> Stream:
    """Every call and what became of it, as a table."""
    await operator_of(request)
    return await csv_of_calls(services_for(request), sale)


def is_fair(report: FairnessBody) -> bool:
    """Whether nobody overtook anybody, in the line and in the decisions."""
    return not (report.inversions or report.decisions.inversions or report.off_the_list)


HANDLERS: list[Any] = [public_page, operators_page, export_calls]

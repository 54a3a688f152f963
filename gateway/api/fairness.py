"""How fair a sale was: the summary for everybody once it has ended, the whole report and its calls for operators at any time."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from gateway import fairness, identity
from gateway.api.operator.answers import MINE, csv_file
from gateway.bodies.fairness import FairnessBody
from gateway.documenting import refuses
from gateway.services import Services

AnyRequest = Request[Any, Any, Any]

KEPT_A_MINUTE = {"Cache-Control": "public, max-age=60"}


@get(
    "/sales/{sale:str}/fairness",
    tags=["catalogue"],
    responses=refuses("unknown_sale", "not_over_yet", "overloaded", "unavailable"),
)
async def read_summary(sale: FromPath[str], services: NamedDependency[Services]) -> Response[FairnessBody]:
    """How fair a sale was, once it has ended; at most a minute old, an hour when the sale is long over."""
    return Response(await services.reports.summary(services, sale), headers=KEPT_A_MINUTE)


@get("/sales/{sale:str}/fairness", tags=["operator"], responses=refuses(*MINE, "unknown_sale"))
async def read_report(
    sale: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> FairnessBody:
    """How fair a sale has been so far, with everything that operators did to it."""
    await identity.require_live_operator(request, services, "viewer")
    return await services.threads(fairness.report, services, sale)


@get(
    "/sales/{sale:str}/fairness.csv",
    tags=["operator"],
    media_type="text/csv",
    responses=refuses(*MINE, "unknown_sale"),
)
async def export_calls(
    sale: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> Stream:
    """Every call, claim, miss, return, lapse and freed slot as a table (CSV, UTF-8), in the order in which they happened."""
    await identity.require_live_operator(request, services, "viewer")
    return await csv_of_calls(services, sale)


async def csv_of_calls(services: Services, sale: str) -> Stream:
    """The table as a file. Raises UnknownSale."""
    parts = await services.threads(fairness.calls_csv, services, sale)
    return csv_file(services, f"calls-{sale}.csv", parts)


HANDLERS = [read_summary]
OPERATOR = [read_report, export_calls]

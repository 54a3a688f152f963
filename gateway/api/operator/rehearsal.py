"""Operators rehearse a sale before it is held."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway import identity, rehearsing
from gateway.api.operator.answers import BODY, MINE
from gateway.documenting import refuses
from gateway.services import Services
from rehearsal.plan import Plan
from rehearsal.report import Report


@post(
    "/sales/{sale:str}/rehearsal",
    guards=[identity.operators_only],
    tags=["operator"],
    status_code=200,
    responses=refuses(*MINE, *BODY, "unknown_sale", "rehearsal_busy", "rehearsal_broke_off"),
)
async def rehearse(
    sale: FromPath[str],
    data: JSONBody[Plan],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> Report:
    """A made-up crowd goes through the real admission by a simulated clock; the live sale does not notice.

    What the body leaves out is as in the sale, or as most sales are. Takes up to a minute; one at a time in each process.
    """
    await identity.require_live_operator(request, services, "operator")
    given = msgspec.json.decode(await request.body())
    return await rehearsing.rehearse(
        services, sale, {name: given[name] for name in given if hasattr(data, name)}
    )


HANDLERS = [rehearse]

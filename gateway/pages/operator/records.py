"""Who changed what."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromQuery
from litestar.response import Stream

from gateway import records, steering_orders
from gateway.api.operator.desk import csv_of_audit
from gateway.pages.operator.door import operator_of
from gateway.pages.render import AnyRequest, page, services_for

# Changes whose subject is an order.
ORDER_ACTS = frozenset({"cancel-order", "open-person", *steering_orders.ACTIONS}) - {"cancel", "retry"}


@get("/operator/audit", include_in_schema=False)
async def audit_page(
    request: AnyRequest, sale: FromQuery[str] = "", cursor: FromQuery[str | None] = None
) -> Response[str]:
    """Who changed what, the newest first, of one sale or of all."""
    services = services_for(request)
    await operator_of(request)
    found = await services.threads(records.list_audit, services, sale or None, None, cursor)
    asked = {"sale": sale} if sale else {}
    older = (
        f"/operator/audit?{urlencode({**asked, 'cursor': found.next_cursor})}" if found.next_cursor else None
    )
    return page(
        request,
        "operator/audit.html",
        rows=found.items,
        order_acts=ORDER_ACTS,
        chosen=sale,
        csv_href=f"/operator/audit.csv?{urlencode(asked)}" if asked else "/operator/audit.csv",
        next_href=older,
    )


@get("/operator/audit.csv", include_in_schema=False)
async def export_audit(request: AnyRequest, sale: FromQuery[str] = "") -> Stream:
    """The same list as a table, whole."""
    await operator_of(request)
    return await csv_of_audit(services_for(request), sale or None)


HANDLERS: list[Any] = [audit_page, export_audit]

"""What buyers will see of a sale, before they can: its page, and the waiting page with a place that is made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get
from litestar.params import FromPath, FromQuery
from msgspec.structs import replace

from gateway import operating
from gateway.bodies.line import EstimateBody, TicketBody
from gateway.bodies.sales import SaleBody
from gateway.pages.buyer import SaleShown, message_in
from gateway.pages.line import Progress, line_values
from gateway.pages.operator.door import may_change, operator_of
from gateway.pages.render import AnyRequest, page, services_for, visitor_of
from gateway.views import sale_body
from shop.sales import reading
from waiting_room.window import StockState

# A place in the middle of a line, so that everything that can be shown is shown.
NUMBER, AHEAD, WAITING = 1204, 356, 2190


@get("/operator/sales/{sale:str}/preview", include_in_schema=False)
async def preview_sale(request: AnyRequest, sale: FromPath[str], done: FromQuery[str] = "") -> Response[str]:
    """The sale's page as buyers will see it when the lobby opens."""
    services, visitor = services_for(request), visitor_of(request)
    principal = await operator_of(request)
    window = await services.threads(operating.read_sale, services, sale)
    known = await services.threads(reading.read_sale, services.db, sale)
    products = {product.product_id: product for product in services.snapshot.catalogue().products}
    shown = SaleShown(_with_units(sale_body(known, None, products, known.lobby_opens_at)), None)
    return page(
        request,
        "operator/preview/sale.html",
        window=window,
        may_change=may_change(principal),
        done=visitor.words.action_word(done),
        shown=shown,
        sale=shown.sale,
        message=message_in(visitor, shown.sale),
        has_ticket=False,
    )


@get("/operator/sales/{sale:str}/preview/line", include_in_schema=False)
async def preview_line(request: AnyRequest, sale: FromPath[str]) -> Response[str]:
    """The waiting page as somebody in the middle of the line will see it."""
    services, visitor = services_for(request), visitor_of(request)
    principal = await operator_of(request)
    window = await services.threads(operating.read_sale, services, sale)
    known = await services.threads(reading.read_sale, services.db, sale)
    now = datetime.now(UTC)
    wait_s = 60 * AHEAD // window.calls_per_minute
    place = TicketBody(
        ticket_id="",
        ticket="",
        sale=sale,
        state="waiting",
        stock_outlook="likely",
        poll_after_ms=5000,
        as_of=now,
        number=NUMBER,
        position=AHEAD + 1,
        ahead=AHEAD,
        waiting=WAITING,
        estimate=EstimateBody(low_s=wait_s, high_s=wait_s * 3 // 2 + 60),
        be_back_by=now + timedelta(seconds=wait_s),
        message=window.message,
    )
    return page(
        request,
        "operator/preview/line.html",
        window=window,
        may_change=may_change(principal),
        done="",
        onward=f"/sales/{sale}/checkout",
        **line_values(services, visitor, known, place, Progress(WAITING, 62.0)),
    )


def _with_units(sale: SaleBody) -> SaleBody:
    items = [replace(item, stock_state=StockState.AVAILABLE) for item in sale.items]
    return replace(sale, items=items)


HANDLERS: list[Any] = [preview_sale, preview_line]

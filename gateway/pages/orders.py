"""My orders, one order on its way to being paid, coming back from the payment provider, and my cart."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from gateway import checkout, paying
from gateway.bodies.orders import OrderBody
from gateway.identity import require_buyer, require_live_buyer
from gateway.inputs import CartQuantity
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    count_of,
    form_of,
    page,
    problem_from,
    see_other,
    services_for,
)
from gateway.problems import Problem
from gateway.reading import check
from gateway.services import Services
from shop.cart.cart import put_item, read_cart, remove_item
from shop.orders.fulfil import request_return
from waiting_room.window import Phase

# How soon an order's page looks again, in seconds; states that are not named change only by the buyer's own doing.
WATCHED = {"queued": 2, "paying": 3, "reserved": 10, "refunding": 15}

# How long somebody who comes back from paying waits for what the provider says; after it the order's page looks on.
PROVIDER_ANSWERS_WITHIN_S = 2.0

# A line in one of these phases gives numbers out; paused or halted it does not call yet.
TAKES_NEWCOMERS = frozenset({Phase.LOBBY, Phase.OPEN, Phase.PAUSED, Phase.HALTED, Phase.ALL_HELD})


@get("/orders", include_in_schema=False)
async def orders_page(request: AnyRequest, cursor: FromQuery[str | None] = None) -> Response[str]:
    """My orders, the newest first."""
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    found = await checkout.list_orders(services, principal, cursor)
    older = f"/orders?cursor={found.next_cursor}" if found.next_cursor else None
    return page(request, "buyer/orders.html", orders=found.items, next_href=older)


@get("/orders/{order_id:str}", include_in_schema=False)
async def order_page(request: AnyRequest, order_id: FromPath[str]) -> Response[str]:
    """One order: what has become of it, and what comes next."""
    return await _render(request, order_id)


async def _render(request: AnyRequest, order_id: str, problem: Problem | None = None) -> Response[str]:
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    receipt = checkout.kept_receipt(services, request.cookies, order_id)
    order = await checkout.read_order(services, principal, order_id, receipt)
    return page(
        request,
        "buyer/order.html",
        problem=problem,
        order=order,
        refresh_s=_watched_s(order),
        paying_works=_paying_works(services, order.sale),
        line_open=_line_open(services, order.sale),
        idempotency_key=secrets.token_urlsafe(18),
        tried_to_pay=_tried_in_vain(order),
        sale_slug=order.sale,
    )


def _watched_s(order: OrderBody) -> int | None:
    """Seconds until the page looks again; money on its way is watched in any state."""
    money = order.money
    if money is not None and money.waiting:
        return WATCHED["queued"]
    if money is not None and (money.going_back or money.spare_going_back):
        return WATCHED["refunding"]
    return WATCHED.get(order.state)


def _line_open(services: Services, sale: str) -> bool:
    """Whether the line takes newcomers now, as far as it is known."""
    try:
        return services.snapshot.line(sale).body.phase in TAKES_NEWCOMERS
    except REFUSALS:
        return False


def _paying_works(services: Services, sale: str) -> bool:
    """What the line says about the payment provider; nothing is said against it where nothing is known."""
    try:
        hold = services.snapshot.line(sale).body.hold
    except REFUSALS:
        return True
    return hold is None or hold.reason != "provider_down"


def _tried_in_vain(order: OrderBody) -> bool:
    return order.payment is not None and order.payment.state in ("failed", "cancelled")


@post("/orders/{order_id:str}/payment", include_in_schema=False)
async def pay(request: AnyRequest, order_id: FromPath[str]) -> Response[Any]:
    """On to the provider's page."""
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    form = await form_of(request)
    key = form["idempotency_key"] or secrets.token_urlsafe(18)
    try:
        started = await services.payments.run(paying.start_payment, services, principal, order_id, key)
    except REFUSALS as error:
        return await _render(request, order_id, problem_from(error))
    return Redirect(started.body.checkout_url, status_code=303, headers={"Cache-Control": "no-store"})


@post("/orders/{order_id:str}/cancel", include_in_schema=False)
async def cancel(request: AnyRequest, order_id: FromPath[str]) -> Response[Any]:
    """Cancel before payment."""
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    try:
        await checkout.cancel_order(services, principal, order_id)
    except REFUSALS as error:
        return await _render(request, order_id, problem_from(error))
    return see_other(f"/orders/{order_id}")


@post("/orders/{order_id:str}/return", include_in_schema=False)
async def send_back(request: AnyRequest, order_id: FromPath[str]) -> Response[Any]:
    """Ask to send the goods back."""
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    try:
        await services.threads(request_return, services.db, principal.subject_id, order_id)
    except REFUSALS as error:
        return await _render(request, order_id, problem_from(error))
    return see_other(f"/orders/{order_id}")


@get("/pay/return/{provider:str}", include_in_schema=False)
async def come_back(
    request: AnyRequest, provider: FromPath[str], order_id: FromQuery[str] = ""
) -> Response[Any]:
    """Back from the provider's page, which is asked if its callback is not there yet; the order's page tells what has become of
    the payment, whoever says it first.
    """
    known = provider.isascii() and order_id.isascii() and order_id.replace("-", "").replace("_", "").isalnum()
    if not known:
        return see_other("/orders")
    services = services_for(request)
    # A silent provider, a stranger, a database that is away: the order's page says so, and the callback may still come.
    with suppress(TimeoutError, *REFUSALS):
        async with asyncio.timeout(PROVIDER_ANSWERS_WITHIN_S):
            await services.payments.run(paying.ask_again, services, require_buyer(request), order_id)
    return see_other(f"/orders/{order_id}")


# ---------------------------------------------------------------- cart


@get("/cart", include_in_schema=False)
async def cart_page(request: AnyRequest) -> Response[str]:
    """My cart."""
    return await _render_cart(request)


async def _render_cart(request: AnyRequest, problem: Problem | None = None) -> Response[str]:
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    items = await services.threads(read_cart, services.db, principal.subject_id)
    return page(request, "buyer/cart.html", problem=problem, cart=items)


@post("/cart/items/{product_id:str}", include_in_schema=False)
async def put_in_cart(request: AnyRequest, product_id: FromPath[str]) -> Response[Any]:
    """Have so many of a product in the cart."""
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    form = await form_of(request)
    try:
        wished = check({"quantity": count_of(form["quantity"])}, CartQuantity)
        await services.threads(put_item, services.db, principal.subject_id, product_id, wished.quantity)
    except REFUSALS as error:
        return await _render_cart(request, problem_from(error))
    return see_other("/cart")


@post("/cart/items/{product_id:str}/remove", include_in_schema=False)
async def remove_from_cart(request: AnyRequest, product_id: FromPath[str]) -> Response[Any]:
    """Have none of a product in the cart."""
    services = services_for(request)
    principal = await require_live_buyer(request, services)
    await services.threads(remove_item, services.db, principal.subject_id, product_id)
    return see_other("/cart")


HANDLERS: list[Any] = [
    orders_page,
    order_page,
    pay,
    cancel,
    send_back,
    come_back,
    cart_page,
    put_in_cart,
    remove_from_cart,
]

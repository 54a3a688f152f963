"""The checkout page of one sale: what to buy and where to send it. Opens with the pass that this browser holds."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from gateway import checkout
from gateway.bodies.problems import FieldFault
from gateway.bodies.sales import SaleBody, SaleItemBody
from gateway.cookies import cookie
from gateway.identity import require_buyer, require_live
from gateway.inputs import NewOrder
from gateway.pages.passes import fetch_pass, pass_of, pass_token
from gateway.pages.render import (
    REFUSALS,
    AnyRequest,
    Form,
    count_of,
    form_of,
    page,
    problem_from,
    see_other,
    services_with,
)
from gateway.problems import Problem
from gateway.reading import check
from gateway.refusals import BadFields
from gateway.services import Services
from gateway.sessions import Principal
from shop.accounts.addresses import list_addresses
from shop.cart.cart import read_cart

QUANTITY = "quantity-"


@dataclass(frozen=True, slots=True)
class Choice:
    """A product of the sale, and how many of it are filled in."""

    item: SaleItemBody
    quantity: int


@get("/sales/{sale:str}/checkout", include_in_schema=False)
async def checkout_page(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """The form of an order. Without a pass that is still good, back to the line."""
    services, principal = await services_with(request, sale), require_buyer(request)
    if pass_of(request, services, sale) is None:
        return await fetch_pass(request, services, sale, principal)
    return await _render(request, services, principal, sale, None)


async def _render(
    request: AnyRequest,
    services: Services,
    principal: Principal,
    slug: str,
    form: Form | None,
    problem: Problem | None = None,
) -> Response[str]:
    await services.threads(require_live, services, principal)  # the page shows addresses
    body = services.snapshot.sale_body(slug)
    cart = {} if form is not None else await services.threads(_in_cart, services, principal.subject_id)
    key = form["idempotency_key"] if form is not None else ""
    if not key or (problem is not None and problem.code == "idempotency_key_reused"):
        key = secrets.token_urlsafe(18)
    return page(
        request,
        "buyer/checkout.html",
        problem=problem,
        sale=body,
        choices=_choices(body, form, cart),
        chosen_address=form["address_id"] if form is not None else None,
        idempotency_key=key,
        addresses=await services.threads(list_addresses, services.db, services.kit, principal.subject_id),
        pass_expires_at=_pass_end(request, services, slug),
        hold_s=services.snapshot.sale(slug).hold_s,
    )


def _choices(sale: SaleBody, form: Form | None, cart: dict[str, int]) -> list[Choice]:
    """What is filled in: what was typed, else the cart as far as the sale offers it, else one of a single product."""
    if form is not None:
        typed = {item.product_id: form[QUANTITY + item.product_id] for item in sale.items}
        return [Choice(item, count_of(typed[item.product_id])) for item in sale.items]
    wished = {item.product_id: min(cart.get(item.product_id, 0), item.limit_per_buyer) for item in sale.items}
    if not any(wished.values()) and len(sale.items) == 1:
        wished[sale.items[0].product_id] = 1
    return [Choice(item, wished[item.product_id]) for item in sale.items]


def _in_cart(services: Services, account_id: str) -> dict[str, int]:
    return {item.product_id: item.quantity for item in read_cart(services.db, account_id)}


def _pass_end(request: AnyRequest, services: Services, slug: str) -> datetime | None:
    """Until when the pass opens the checkout; None when it does not."""
    admission = pass_of(request, services, slug)
    return datetime.fromtimestamp(admission.exp, tz=UTC) if admission is not None else None


@post("/sales/{sale:str}/checkout", include_in_schema=False)
async def place_order(request: AnyRequest, sale: FromPath[str]) -> Response[Any]:
    """Send the order into the sale's lane, and go on to its page."""
    services, principal = await services_with(request, sale), require_buyer(request)
    form = await form_of(request)
    try:
        placed = await checkout.place_order(
            services,
            sale,
            principal,
            pass_token(request, services, sale),
            form["idempotency_key"],
            _order(form),
        )
    except REFUSALS as error:
        return await _render(request, services, principal, sale, form, problem_from(error))
    answer = see_other(f"/orders/{placed.body.order_id}")
    closes_in_s = int((services.snapshot.sale(sale).closes_at - datetime.now(UTC)).total_seconds())
    name = checkout.RECEIPT_COOKIE + services.snapshot.sale(sale).sale_id
    answer.set_cookie(cookie(services.settings, name, placed.body.receipt, max(3600, closes_in_s + 3600)))
    return answer


def _order(form: Form) -> NewOrder:
    """The order as the form says it. Raises BadFields."""
    lines = [
        {"product_id": name.removeprefix(QUANTITY), "quantity": count_of(value)}
        for name, value in form.items()
        if name.startswith(QUANTITY) and count_of(value) > 0
    ]
    if not lines:
        raise BadFields([FieldFault(field="quantity", message="choose at least one product")])
    return check({"lines": lines, "address_id": form["address_id"] or None}, NewOrder)


HANDLERS: list[Any] = [checkout_page, place_order]

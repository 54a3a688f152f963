"""Orders: placing one with a pass, looking at it, cancelling it, starting its payment."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from gateway import checkout, identity, paying
from gateway.bodies.orders import OrderAccepted, OrderBody, OrderList, PaymentStarted
from gateway.csrf import require_own_page
from gateway.documenting import BODY, MINE, refuses
from gateway.idempotency import REPLAYED_HEADER, read_key
from gateway.inputs import NewOrder, PaymentChoice
from gateway.plain import (
    PERSONAL,
    Answer,
    Answerer,
    Receive,
    Scope,
    cookies,
    headers_of,
    plain,
    text_of,
)
from gateway.reading import receive_json
from gateway.services import Services
from shop.orders import fulfil

AnyRequest = Request[Any, Any, Any]

# Missing ones are refused by name, each with a problem of its own.
PassHeader = Annotated[
    str | None, HeaderParameter(name="Admission-Pass", description="the pass of my turn; needed")
]
KeyHeader = Annotated[
    str | None, HeaderParameter(name="Idempotency-Key", description="new for each order and payment; needed")
]

ReceiptHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Order-Receipt", description="the receipt of this order; browsers keep it as a cookie"
    ),
]

_KEY = ("idempotency_key_missing", "idempotency_key_malformed", "idempotency_key_reused")

_REPLAYED = (REPLAYED_HEADER.lower().encode(), b"true")
_encode = msgspec.json.Encoder().encode


async def answer_order(services: Services, slug: str, scope: Scope, receive: Receive) -> Answer:
    """POST …/orders: an order takes its place in the lane."""
    headers = headers_of(scope)
    principal = identity.identify(services, "buyer", text_of(headers, b"authorization"), cookies(headers))
    require_own_page(services, headers, principal)
    buyer = identity.buyer(principal)
    order = await receive_json(receive, text_of(headers, b"content-type") or "", NewOrder)
    identity.require_verified(buyer)
    key = read_key(text_of(headers, b"idempotency-key"))
    placed = await checkout.place_order(
        services, slug, buyer, text_of(headers, b"admission-pass"), key, order
    )
    where = (b"location", placed.body.href.encode())
    own = (where, _REPLAYED) if placed.replayed else (where,)
    return Answer(202, PERSONAL, _encode(placed.body), own)


@post(
    "/sales/{sale:str}/orders",
    middleware=[plain(answer_order)],
    tags=["checkout"],
    status_code=202,
    responses=refuses(
        *(*MINE, *BODY, *_KEY, "unknown_sale", "unverified", "not_admitted", "pass_used", "over_limit"),
        *(
            "sold_out",
            "not_on_sale",
            "sale_closed",
            "lane_busy",
            "lane_recovering",
            "halted",
            "lane_unavailable",
        ),
    ),
)
async def place_order(
    sale: FromPath[str],
    data: JSONBody[NewOrder],
    admission_pass: PassHeader = None,
    idempotency_key: KeyHeader = None,
) -> OrderAccepted:
    """Order with the pass (`Admission-Pass`) and an `Idempotency-Key`. The order takes its place at once and is decided soon."""
    raise NotImplementedError(sale, data, admission_pass, idempotency_key)


@get("/orders", tags=["checkout"], responses=refuses(*MINE, "bad_fields"))
async def list_orders(
    request: AnyRequest,
    services: NamedDependency[Services],
    cursor: Annotated[str | None, QueryParameter(description="next_cursor of the part before")] = None,
    limit: Annotated[int, QueryParameter(description="1 to 100", ge=1, le=100)] = 20,
) -> OrderList:
    """My decided orders, the newest first."""
    principal = await identity.require_live_buyer(request, services)
    return await checkout.list_orders(services, principal, cursor, limit)


@get(
    "/orders/{order_id:str}",
    tags=["checkout"],
    responses=refuses(*MINE, "unknown_order", "invalid_token", "lane_recovering", "lane_unavailable"),
)
async def read_order(
    order_id: FromPath[str],
    request: AnyRequest,
    services: NamedDependency[Services],
    order_receipt: ReceiptHeader = None,
) -> OrderBody:
    """One of my orders, queued or decided; somebody else's does not exist.

    An order that was lost with a store's data goes back into its lane by its receipt and is `queued` again.
    """
    principal = await identity.require_live_buyer(request, services)
    receipt = order_receipt or checkout.kept_receipt(services, request.cookies, order_id)
    return await checkout.read_order(services, principal, order_id, receipt)


@post(
    "/orders/{order_id:str}/cancel",
    tags=["checkout"],
    status_code=200,
    responses=refuses(*MINE, "unknown_order", "illegal_move", "under_review"),
)
async def cancel_order(
    order_id: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> Response[OrderBody]:
    """Cancel an order that is not paid: 200, or 202 while the payment provider is asked first."""
    principal = await identity.require_live_buyer(request, services)
    body, done = await checkout.cancel_order(services, principal, order_id)
    return Response(body, status_code=200 if done else 202)


@post(
    "/orders/{order_id:str}/return",
    tags=["checkout"],
    status_code=200,
    responses=refuses(*MINE, "unknown_order", "illegal_move"),
)
async def request_return(
    order_id: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> OrderBody:
    """Ask to send the goods of a delivered order back."""
    principal = await identity.require_live_buyer(request, services)
    await services.threads(fulfil.request_return, services.db, principal.subject_id, order_id)
    return await checkout.read_order(services, principal, order_id)


@post(
    "/orders/{order_id:str}/payment",
    guards=[identity.buyers_only],
    tags=["checkout"],
    status_code=201,
    responses=refuses(
        *(*MINE, *BODY, *_KEY, "unknown_order", "unknown_provider", "illegal_move", "still_running"),
        *("under_review", "provider_unavailable", "provider_refused", "overloaded"),
    ),
)
async def start_payment(
    order_id: FromPath[str],
    request: AnyRequest,
    services: NamedDependency[Services],
    data: JSONBody[PaymentChoice | None] = None,
    idempotency_key: KeyHeader = None,
) -> Response[PaymentStarted]:
    """Open a payment (`Idempotency-Key`); the buyer pays at `checkout_url`. An open one is given again."""
    principal = await identity.require_live_buyer(request, services)
    key = read_key(idempotency_key)
    provider = data.provider if data else None
    started = await services.payments.run(paying.start_payment, services, principal, order_id, key, provider)
    headers = {REPLAYED_HEADER: "true"} if started.replayed else {}
    return Response(started.body, status_code=201, headers=headers)


# What the outermost layer answers itself, as the line's (api/line.py).
CROWD: dict[tuple[str, str], Answerer] = {("POST", "orders"): answer_order}

HANDLERS = [place_order, list_orders, read_order, cancel_order, request_return, start_payment]

"""The stand-in's machine API: create, fetch, cancel, refund. JSON in, JSON out, every answer under its Idempotency-Key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.enums import MediaType
from litestar.exceptions import ClientException, HTTPException, NotAuthorizedException, NotFoundException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from gateway.simulator.config import SimulatorConfig
from gateway.simulator.courier import Courier
from gateway.simulator.payment import Payment, new_payment
from gateway.simulator.store import Answer, KeyReused, Store
from shop.storage.columns import to_millis

log = logging.getLogger(__name__)

_MOST = 2**53


class NewPayment(msgspec.Struct, forbid_unknown_fields=True):
    """A payment to open; `amount` in minor units, `reference` is the shop's own id for it."""

    reference: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    amount: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    return_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[!-~]+\Z", max_length=500)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    description: Annotated[str, msgspec.Meta(max_length=200)] = ""


class NewRefund(msgspec.Struct, forbid_unknown_fields=True):
    """How much goes back, in minor units."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]


def api_routes() -> list[HTTPRouteHandler]:
    """The handlers of the API."""
    return [create, fetch, fetch_by_reference, cancel, cancel_by_reference, refund, refund_by_reference]


def with_api_key(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard: the API key as a bearer token."""
    config: SimulatorConfig = connection.app.state.config
    given = connection.headers.get("authorization", "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(given, f"Bearer {config.api_key}".encode()):
        raise NotAuthorizedException("the API key is missing or wrong")


def refuse(_request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    """One shape for every refusal; a fault is logged and not shown."""
    if isinstance(error, HTTPException):
        return Response({"error": error.detail}, status_code=error.status_code)
    log.error("the payment stand-in failed", exc_info=error)
    return Response({"error": "something went wrong"}, status_code=500)


@post("/v1/payments", guards=[with_api_key])
async def create(
    data: JSONBody[NewPayment], request: Request[Any, Any, State], state: State
) -> Response[bytes]:
    """Open a payment; the same reference again is the same payment."""
    if not urlsplit(data.return_url).hostname:
        raise ClientException("return_url names no host")

    def act() -> Answer:
        made = new_payment(
            data.reference,
            data.amount,
            data.currency,
            data.description,
            data.return_url,
            to_millis(data.expires_at),
        )
        return _shown(state.config, state.store.create(made), 201)

    return await _once(request, state, "create", act)


@get("/v1/payments/{payment_id:str}", guards=[with_api_key])
async def fetch(payment_id: FromPath[str], state: State) -> Response[bytes]:
    """The payment as it stands."""
    return await _fetch(state, id=payment_id)


@get("/v1/references/{reference:str}", guards=[with_api_key])
async def fetch_by_reference(reference: FromPath[str], state: State) -> Response[bytes]:
    """The payment as it stands."""
    return await _fetch(state, reference=reference)


@post("/v1/payments/{payment_id:str}/cancel", guards=[with_api_key])
async def cancel(
    payment_id: FromPath[str], request: Request[Any, Any, State], state: State
) -> Response[bytes]:
    """End it unless it is decided; the answer says how it stands now."""
    return await _cancel(request, state, id=payment_id)


@post("/v1/references/{reference:str}/cancel", guards=[with_api_key])
async def cancel_by_reference(
    reference: FromPath[str], request: Request[Any, Any, State], state: State
) -> Response[bytes]:
    """End it unless it is decided; the answer says how it stands now."""
    return await _cancel(request, state, reference=reference)


@post("/v1/payments/{payment_id:str}/refunds", guards=[with_api_key])
async def refund(
    payment_id: FromPath[str], data: JSONBody[NewRefund], request: Request[Any, Any, State], state: State
) -> Response[bytes]:
    """Give money back; never more than was captured."""
    return await _refund(request, state, data.amount, id=payment_id)


@post("/v1/references/{reference:str}/refunds", guards=[with_api_key])
async def refund_by_reference(
    reference: FromPath[str], data: JSONBody[NewRefund], request: Request[Any, Any, State], state: State
) -> Response[bytes]:
    """Give money back; never more than was captured."""
    return await _refund(request, state, data.amount, reference=reference)


async def _fetch(state: State, **by: str) -> Response[bytes]:
    return _response(_shown(state.config, await _find(state, **by), 200))


async def _cancel(request: Request[Any, Any, State], state: State, **by: str) -> Response[bytes]:
    payment = await _find(state, **by)
    return await _once(
        request,
        state,
        f"cancel {payment.id}",
        lambda: _shown(state.config, state.store.cancel(payment.id), 200),
    )


async def _refund(request: Request[Any, Any, State], state: State, amount: int, **by: str) -> Response[bytes]:
    payment = await _find(state, **by)

    def act() -> Answer:
        refunded = state.store.refund(payment.id, amount)
        if refunded is None:
            return Answer(422, '{"error":"more than is left of what was captured"}')
        return _shown(state.config, refunded, 201)

    return await _once(request, state, f"refund {payment.id}", act)


async def _find(state: State, **by: str) -> Payment:
    store: Store = state.store
    payment = await asyncio.to_thread(store.payment, **by)
    if payment is None:
        raise NotFoundException("no such payment")
    return payment


async def _once(
    request: Request[Any, Any, State], state: State, what: str, act: Callable[[], Answer]
) -> Response[bytes]:
    key = request.headers.get("idempotency-key", "")
    if not 1 <= len(key) <= 255:
        raise ClientException("an Idempotency-Key is needed")
    fingerprint = hashlib.sha256(what.encode() + b"\0" + await request.body()).hexdigest()
    store: Store = state.store
    try:
        answer = await asyncio.to_thread(store.once, key, fingerprint, act)
    except KeyReused:
        raise HTTPException("the Idempotency-Key belongs to another request", status_code=422) from None
    courier: Courier = state.courier
    courier.wake()
    return _response(answer)


def _shown(config: SimulatorConfig, payment: Payment, status: int) -> Answer:
    body = {
        "id": payment.id,
        "reference": payment.reference,
        "status": payment.status,
        "amount": payment.amount,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "currency": payment.currency,
        "checkout_url": f"{config.public_url}/pay/{payment.token}",
    }
    return Answer(status, msgspec.json.encode(body).decode())


def _response(answer: Answer) -> Response[bytes]:
    headers = {"cache-control": "no-store"}
    return Response(
        answer.body.encode(), status_code=answer.status, media_type=MediaType.JSON, headers=headers
    )

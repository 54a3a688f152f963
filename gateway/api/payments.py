"""Callbacks of payment providers. Who sends them is proven by their signature, not by a session."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from gateway import paying
from gateway.bodies.orders import CallbackTaken
from gateway.documenting import refuses
from gateway.services import Services
from shop.payments.providers import MAX_CALLBACK_BYTES

AnyRequest = Request[Any, Any, Any]


@post(
    "/payments/callbacks/{provider:str}",
    tags=["checkout"],
    status_code=200,
    request_max_body_size=MAX_CALLBACK_BYTES,
    opt={"signed": True},
    responses=refuses("unreadable_body", "bad_signature", "unknown_provider", "too_large", "unavailable"),
)
async def callback(
    provider: FromPath[str], request: AnyRequest, services: NamedDependency[Services]
) -> Response[CallbackTaken]:
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`. 202 for a payment that is not known (yet)."""
    body = await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    taken, status = await services.threads(paying.callback, services, provider, headers, body)
    return Response(taken, status_code=status)


HANDLERS = [callback]

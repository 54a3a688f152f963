"""Callbacks of payment providers. Who sends them is proven by their signature, not by a session."""

from __future__ import annotations

import msgspec
from litestar import post
from litestar.params import FromPath

from gateway import paying
from gateway.bodies.orders import CallbackTaken
from gateway.documenting import refuses
from gateway.plain import PERSONAL, Answer, Receive, Scope, plain
from gateway.reading import receive_body
from gateway.services import Services
from shop.payments.providers import MAX_CALLBACK_BYTES

_encode = msgspec.json.Encoder().encode


async def answer_callback(services: Services, provider: str, scope: Scope, receive: Receive) -> Answer:
    """POST /payments/callbacks/{provider}: what the provider tells is settled in a thread."""
    body = await receive_body(receive, MAX_CALLBACK_BYTES)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    taken, status = await services.threads(paying.callback, services, provider, headers, body)
    return Answer(status, PERSONAL, _encode(taken))


@post(
    "/payments/callbacks/{provider:str}",
    middleware=[plain(answer_callback, "provider")],
    tags=["checkout"],
    status_code=200,
    responses=refuses("unreadable_body", "bad_signature", "unknown_provider", "too_large", "unavailable"),
)
async def callback(provider: FromPath[str]) -> CallbackTaken:
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`. 202 for a payment that is not known (yet)."""
    raise NotImplementedError(provider)


HANDLERS = [callback]

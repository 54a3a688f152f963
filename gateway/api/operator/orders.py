"""Operators act on one order: money back, goods on their way, a review settled."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gateway import identity, steering_orders
from gateway.api.operator.answers import BODY, MINE
from gateway.bodies.operator import OperatorOrderBody
from gateway.documenting import refuses
from gateway.inputs import OrderAction
from gateway.services import Services


@post(
    "/orders/{order_id:str}/actions/{action:str}",
    guards=[identity.operators_only],
    tags=["operator"],
    status_code=200,
    responses=refuses(
        *MINE,
        *BODY,
        "unknown_order",
        "unknown_action",
        "illegal_move",
        "undecided",
        "under_review",
        "not_stuck",
        "precondition_failed",
    ),
)
async def act_on_order(
    order_id: FromPath[str],
    action: FromPath[str],
    data: JSONBody[OrderAction],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> OperatorOrderBody:
    """`cancel`, `refund` (all, or `amount`), `retry` (what was given up), `resend-mail` (at most once a minute), `fulfil`, `ship`,
    `deliver`, `accept-return`, `refuse-return`, and for what waits for a look `accept-payment`, `return-payment` and `close-review`.
    The story of an order names those that make sense now (`actions`); one that still
    waits for its decision can only be cancelled.
    """
    principal = await identity.require_live_operator(request, services, "operator")
    return await services.threads(steering_orders.act, services, principal, order_id, action, data)


HANDLERS = [act_on_order]

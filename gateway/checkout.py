"""Placing an order and looking at it afterwards: the bridge between a request, the lane and the shop.

An accepted order lives in its lane until it is decided; looking asks the database first and the lane for what is not there yet.
Decides nothing. Knows no HTTP and no cookies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.bodies import Items, OrderAccepted, OrderBody
from gateway.identity import Principal
from gateway.inputs import NewOrder

if TYPE_CHECKING:
    from gateway.services import Services

# The decision is a matter of milliseconds; a page that asks after this long sees it almost always.
POLL_AFTER_MS = 700


@dataclass(frozen=True, slots=True)
class Placed:
    """The answer to an accepted order; `replayed` when the same request was accepted before."""

    body: OrderAccepted
    replayed: bool


async def place_order(
    services: Services,
    slug: str,
    principal: Principal,
    pass_token: str | None,
    idempotency_key: str,
    order: NewOrder,
) -> Placed:
    """Accept an order into the sale's lane.

    Raises UnknownSale, NotAdmitted, BadFields, and every refusal of `workers.lanes` (nothing was used up).
    """
    raise NotImplementedError


async def read_order(services: Services, principal: Principal, order_id: str) -> OrderBody:
    """One of my orders, queued or decided. Raises UnknownOrder or Unavailable."""
    raise NotImplementedError


async def list_orders(
    services: Services, principal: Principal, cursor: str | None = None, limit: int = 20
) -> Items[OrderBody]:
    """My decided orders, the newest first."""
    raise NotImplementedError


async def cancel_order(services: Services, principal: Principal, order_id: str) -> tuple[OrderBody, bool]:
    """Cancel my order; False in second place while the payment provider is asked first (the order is still paying).

    Raises UnknownOrder, IllegalMove or Unavailable.
    """
    raise NotImplementedError

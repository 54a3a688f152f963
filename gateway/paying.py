"""Starting a payment and taking a provider's callback: the bridge between a request and `shop.payments`.

What the database has decided is announced right after the commit, best effort: the sweeper repairs what is missed. Decides
nothing. Knows no HTTP but the raw headers and body of a callback, which belong to the provider's protocol. Runs in threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.bodies import CallbackTaken, PaymentStarted
from gateway.identity import Principal

if TYPE_CHECKING:
    from gateway.services import Services


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to a started payment; `replayed` when the same request has started it before."""

    body: PaymentStarted
    replayed: bool


def start_payment(
    services: Services, principal: Principal, order_id: str, idempotency_key: str, provider: str | None = None
) -> Started:
    """Open a payment at the provider, or find the one that is open. Blocks; call it in a thread.

    Raises UnknownOrder, IllegalMove, UnknownProvider, KeyReused, StillRunning or Unavailable.
    """
    raise NotImplementedError


def callback(
    services: Services, provider: str, headers: Mapping[str, str], body: bytes
) -> tuple[CallbackTaken, int]:
    """Take a provider's callback; the answer and its HTTP status (200, or 202 for an unknown payment). Blocks.

    Raises UnknownProvider, BadSignature, Unreadable, BodyTooLarge or Unavailable.
    """
    raise NotImplementedError

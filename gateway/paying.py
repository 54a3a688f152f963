"""Starting a payment and taking a provider's callback: the bridge between a request and `shop.payments`.

Decides nothing. Knows no HTTP but the raw headers and body of a callback, which belong to the provider's protocol. Blocks; runs
in threads of its own, because a provider may take seconds to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.announcing import announce_ended
from gateway.bodies.orders import CallbackTaken, PaymentStarted
from gateway.idempotency import request_hash, scoped_key
from gateway.inputs import PaymentChoice
from gateway.sessions import Principal
from shop.orders.read import read_order
from shop.payments.ask import look_again
from shop.payments.providers import provider_named
from shop.payments.rules import Verdict
from shop.payments.settle import receive
from shop.payments.start import Start
from shop.payments.start import start_payment as start

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
    keys = services.idempotency_keys
    active_first = sorted(keys.by_id, key=lambda key_id: key_id != keys.active)
    scope = (principal.subject_id, order_id, idempotency_key)
    started = start(
        services.db,
        services.vault,
        services.providers,
        Start(
            order_id=order_id,
            account_id=principal.subject_id,
            keys=tuple(scoped_key(keys.by_id[key_id], *scope) for key_id in active_first),
            request_hash=request_hash(
                "POST", f"/orders/{order_id}/payment", PaymentChoice(provider=provider)
            ),
            return_base=f"{services.settings.base_url}/pay/return",
            provider=provider,
            guarantee_s=round(services.settings.payment_guarantee_s),
        ),
    )
    body = PaymentStarted(
        payment_id=started.payment_id, checkout_url=started.checkout_url, expires_at=started.expires_at
    )
    return Started(body, started.replayed)


def callback(
    services: Services, provider: str, headers: Mapping[str, str], body: bytes
) -> tuple[CallbackTaken, int]:
    """Take a provider's callback; the answer and its HTTP status (200, or 202 for an unknown payment). Blocks.

    Raises UnknownProvider, BadSignature, Unreadable, BodyTooLarge or Unavailable.
    """
    named = provider_named(services.providers, provider)
    settled = receive(services.db, services.vault, named, headers, body, now=datetime.now(UTC))
    services.burst.announce(settled)
    status = 202 if settled.verdict is Verdict.UNKNOWN_PAYMENT else 200
    return CallbackTaken(verdict=settled.verdict), status


def ask_again(services: Services, principal: Principal, order_id: str) -> None:
    """Ask the provider what became of an order's open payment, for a buyer who has come back before the callback. Blocks.

    What the provider says is settled; silence changes nothing. Raises UnknownOrder, or Unavailable when the database does not
    answer.
    """
    read_order(services.db, principal.subject_id, order_id)  # nobody asks about another's
    for settled in look_again(services.db, services.vault, services.providers, order_id):
        announce_ended(services, settled.ended, settled.sale_ids)

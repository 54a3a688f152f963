"""What the shop asks of a payment provider, whichever it is.

An adapter translates one provider's words into `Report`s and `Callback`s and raises only the refusals named here. It keeps no
state and touches no database: it is called outside every transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shop.payments.rules import Report, UnknownProvider

MAX_CALLBACK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment to be started. `return_url` is where the buyer's browser comes back to; amounts in minor units."""

    payment_id: str
    amount: int
    currency: str
    title: str
    return_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """A payment that waits for the buyer at the provider: the provider's own id and the address of its pay page."""

    provider_ref: str
    checkout_url: str


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback whose signature was good.

    `payment_id` is the shop's own id as the provider repeats it; it and `report` are None for types this shop has no use for.
    """

    event_id: str
    event_type: str
    payment_id: str | None
    report: Report | None


class Provider(Protocol):
    """One payment provider.

    Every call may raise `ProviderUnavailable` (no usable answer within its time: ask again) or `ProviderRefused` (it will not,
    however often it is asked). `provider_ref` is None where the answer to `start` was lost.
    """

    @property
    def name(self) -> str:
        """The name in the callback address and in the payment rows."""

    def start(self, asked: Asked) -> Opened:
        """Open a payment; with the same `payment_id` again it is the same payment."""

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report | None:
        """What became of it so far; None where the provider never heard of it."""

    def cancel(self, payment_id: str, provider_ref: str | None) -> Report | None:
        """End it unless money has come: the report says which. None where the provider never heard of it."""

    def refund(self, payment_id: str, provider_ref: str | None, amount: int, key: str) -> Report:
        """Give `amount` minor units back, once for each `key` however often it is called; the report says how much is back in
        all. Keys are unique within a payment, at most 64 letters, digits and hyphens.
        """

    def read_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Check and read a callback. `headers` by lower-case name. Raises BadSignature, Unreadable, BodyTooLarge; nothing else."""

    def read_event(self, event_id: str, body: bytes) -> Callback:
        """Read a callback that was checked before and kept. Raises Unreadable."""


Providers = Mapping[str, Provider]


def provider_named(providers: Providers, name: str) -> Provider:
    """The provider of that name. Raises UnknownProvider."""
    provider = providers.get(name)
    if provider is None:
        raise UnknownProvider(f"there is no payment provider {name[:32]!r}")
    return provider

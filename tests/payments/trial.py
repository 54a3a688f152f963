"""An adapter under trial: what the conformance suite needs besides the adapter itself.

A trial of an adapter of one's own is a context manager without arguments that yields a `Trial`; `PAYMENT_ADAPTER=module:function`
names it. It may start whatever stands behind the adapter, or speak to the provider's sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shop.payments.providers import Opened, Provider

APPROVE, DECLINE = "approve", "decline"


@dataclass(frozen=True)
class Trial:
    """`choose(opened, APPROVE or DECLINE)` does what the buyer does on the pay page, and is without effect once the payment has ended.

    `callback(payment_id)` waits for the provider's callback about that payment: its headers by lower-case name, and its raw body.
    """

    provider: Provider
    choose: Callable[[Opened, str], None]
    callback: Callable[[str], tuple[Mapping[str, str], bytes]]

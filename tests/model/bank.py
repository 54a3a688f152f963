"""A payment provider with books of its own, for traces of orders and money: what it says is what happened to the money there."""

from __future__ import annotations

from dataclasses import dataclass

from shop.payments.providers import Asked, Opened
from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.rules import Fact, Report
from tests.till import API_KEY, SECRET


@dataclass
class Account:
    """One payment as the provider knows it; minor units."""

    asked: int
    currency: str
    fact: Fact = Fact.PENDING
    captured: int = 0
    refunded: int = 0

    @property
    def kept(self) -> int:
        """Money of the buyer that is with the shop."""
        return self.captured - self.refunded

    def report(self) -> Report:
        """What the provider says of it now."""
        return Report(self.fact, self.captured or self.asked, self.currency, self.refunded)


class Bank(SimulatorProvider):
    """Signs and reads as the stand-in does; everything else happens in its `accounts`, by payment id."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", API_KEY, [SECRET])
        self.accounts: dict[str, Account] = {}

    def start(self, asked: Asked) -> Opened:
        self.accounts.setdefault(asked.payment_id, Account(asked.amount, asked.currency))
        return Opened(f"ref-{asked.payment_id}", f"http://pay/{asked.payment_id}")

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report | None:  # noqa: ARG002
        account = self.accounts.get(payment_id)
        return account and account.report()

    def cancel(self, payment_id: str, provider_ref: str | None) -> Report | None:
        account = self.accounts.get(payment_id)
        if account is not None and account.fact is Fact.PENDING:
            account.fact = Fact.CANCELLED
        return self.fetch(payment_id, provider_ref)

    def refund(self, payment_id: str, provider_ref: str | None, amount: int) -> Report:  # noqa: ARG002
        account = self.accounts[payment_id]
        account.refunded = min(account.captured, account.refunded + amount)
        account.fact = Fact.REFUNDED
        return account.report()

    def capture(self, payment_id: str, amount: int) -> None:
        """The buyer pays."""
        account = self.accounts[payment_id]
        account.fact, account.captured = Fact.SUCCEEDED, amount

    def decline(self, payment_id: str) -> None:
        """The buyer's card does not."""
        self.accounts[payment_id].fact = Fact.FAILED

"""A payment provider with books of its own, for traces of orders and money: what it says is what happened to the money there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shop.payments.providers import Asked, Opened
from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.rules import Fact, ProviderRefused, ProviderUnavailable, Report
from tests.till import API_KEY, SECRET

# How the bank takes what it is asked: as it should; not at all; done, and the answer lost; by saying no.
MOODS = ("open", "open", "open", "away", "lost", "refuses")
# Starts only: the process that asks dies before its answer; the buyer pays, or fails to, before the answer is there.
START_MOODS = (*MOODS, "dies", "quick", "quick no")


class Died(BaseException):
    """The process that asked the bank is gone."""


@dataclass
class Account:
    """One payment as the bank knows it; minor units. `given`: what went back, by key."""

    asked: int
    fact: str = "pending"
    captured: int = 0
    outside: int = 0
    given: dict[str, int] = field(default_factory=dict)

    @property
    def refunded(self) -> int:
        """What went back in all."""
        return self.outside + sum(self.given.values())

    @property
    def kept(self) -> int:
        """Money of the buyer that is with the shop."""
        return self.captured - self.refunded

    def capture(self, amount: int) -> None:
        self.fact, self.captured = "succeeded", amount

    def end(self, fact: str) -> None:
        """Failed or cancelled, unless money has come."""
        if self.fact == "pending":
            self.fact = fact

    def give(self, key: str, amount: int) -> bool:
        """Give money back, once for each key; False if there is not so much, or if the key stands for another amount."""
        if self.given.get(key, amount) != amount:
            return False
        if key not in self.given:
            if amount > self.kept:
                return False
            self.given[key] = amount
        return True

    def state(self) -> tuple[str, int, int]:
        """Fact, amount and what is back, as the bank answers and writes them."""
        return self.fact, self.captured if self.fact == "succeeded" else self.asked, self.refunded


class Bank(SimulatorProvider):
    """Signs and reads as the stand-in does; everything else happens in its `accounts`, by payment id, as `mood` has it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", API_KEY, [SECRET])
        self.accounts: dict[str, Account] = {}
        self.mood = "open"
        self.asked: list[str] = []
        self.at_once: Callable[[str], None] = lambda _payment_id: None

    def start(self, asked: Asked) -> Opened:
        self.asked.append(asked.payment_id)
        self._refuse()
        account = self.accounts.setdefault(asked.payment_id, Account(asked.amount))
        if self.mood in ("quick", "quick no"):
            account.capture(asked.amount) if self.mood == "quick" else account.end("failed")
            self.at_once(asked.payment_id)
        if self.mood == "dies":
            raise Died
        self._lose()
        return Opened(f"ref-{asked.payment_id}", f"http://pay/{asked.payment_id}")

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report | None:  # noqa: ARG002
        self._refuse()
        return self._report(payment_id)

    def cancel(self, payment_id: str, provider_ref: str | None) -> Report | None:  # noqa: ARG002
        self._refuse()
        if payment_id in self.accounts:
            self.accounts[payment_id].end("cancelled")
        self._lose()
        return self._report(payment_id)

    def refund(self, payment_id: str, provider_ref: str | None, amount: int, key: str) -> Report:  # noqa: ARG002
        self._refuse()
        account = self.accounts[payment_id]
        if not account.give(key, amount):
            raise ProviderRefused("there is not so much")
        self._lose()
        return Report(Fact.REFUNDED, account.captured, "KRW", account.refunded)

    def _report(self, payment_id: str) -> Report | None:
        account = self.accounts.get(payment_id)
        if account is None:
            return None
        fact, amount, refunded = account.state()
        return Report(Fact(fact), amount, "KRW", refunded)

    def _refuse(self) -> None:
        if self.mood == "away":
            raise ProviderUnavailable("nobody answers")
        if self.mood == "refuses":
            raise ProviderRefused("no")

    def _lose(self) -> None:
        if self.mood == "lost":
            raise ProviderUnavailable("the answer is lost")

"""A crowd of patient buyers: each buys one unit over HTTP and asks again, with the same keys, whatever answer was lost or put off.

What a store has forgotten they bring back as any buyer would: who has no place joins again, whose order is unknown sends it again.
Any other answer than those that the contract names is an error.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from tests.running import RunningDemo, eventually

PAID = "paid"
TOO_LATE = "too late"
WITHIN_S = 60
# Retry-After spreads a crowd of thousands over seconds; so few need not be that polite.
LONGEST_PAUSE_S = 1.0


class PatientBuyer:
    """One buyer on the way to one unit. Closes its connections at the end of `journey`."""

    def __init__(self, url: str, token: str, sale: str, product: str) -> None:
        self._client = httpx.Client(
            base_url=url, timeout=10, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        self._account = token[-16:]
        self._ticket = f"/api/v1/sales/{sale}/ticket"
        self._pass = f"/api/v1/sales/{sale}/pass"
        self._orders = f"/api/v1/sales/{sale}/orders"
        self._product = product

    def journey(self) -> str:
        """The whole way: PAID or TOO_LATE."""
        with self._client:
            admission = self.admission()
            order = None if admission is None else self.decided(admission)
            if order is None:
                return TOO_LATE
            self.pay(order["order_id"])
            return PAID

    def join(self) -> dict[str, Any]:
        """Take a place; the ticket, or the problem that says that nothing is left."""
        return self.insist("PUT", self._ticket, 200, 201, 409)

    def admission(self) -> str | None:
        """Wait for the turn and claim it; None when nothing is left."""
        place = self.join()
        while place.get("code") != "sold_out" and place["state"] not in ("sold_out", "all_held"):
            if place["state"] in ("called", "admitted"):
                claimed = self.insist("POST", self._pass, 200, 404, 409, 410)
                if "pass" in claimed:
                    return str(claimed["pass"])
            elif place["state"] == "waiting":
                time.sleep(min(place["poll_after_ms"], 1000) / 1000)
            place = self.insist("GET", self._ticket, 200, 404)
            if place.get("code") == "no_ticket" or place["state"] in ("missed", "lapsed"):
                place = self.join()
        return None

    def order(self, admission: str) -> dict[str, Any]:
        """Order one unit, always under the same key; the 202, or the problem that says that nothing is left."""
        headers = {"Admission-Pass": admission, "Idempotency-Key": f"order-{self._account}"}
        body = {"lines": [{"product_id": self._product, "quantity": 1}]}
        return self.insist("POST", self._orders, 202, 409, headers=headers, json=body)

    def decided(self, admission: str) -> dict[str, Any] | None:
        """The order once it holds a unit; None when it was too late for one."""
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            accepted = self.order(admission)
            if accepted.get("code") == "sold_out":
                return None
            order = self.look(accepted["order_id"], accepted["receipt"])
            while order.get("state") == "queued":
                time.sleep(0.1)
                order = self.look(accepted["order_id"], accepted["receipt"])
            if order.get("state") == "rejected":
                assert order["reason"] == "sold_out", order
                return None
            if order.get("code") != "unknown_order":
                return order
        raise AssertionError("the order was never decided")

    def look(self, order_id: str, receipt: str | None = None) -> dict[str, Any]:
        """The order, or the problem that nobody knows it (which a receipt brings back)."""
        headers = {"Order-Receipt": receipt} if receipt else {}
        return self.insist("GET", f"/api/v1/orders/{order_id}", 200, 404, headers=headers)

    def close(self) -> None:
        """Leave in the middle of the way."""
        self._client.close()

    def pay(self, order_id: str) -> None:
        """Start a payment, approve it on the provider's page and wait until the order is paid."""
        key = {"Idempotency-Key": f"pay-{self._account}"}
        started = self.insist("POST", f"/api/v1/orders/{order_id}/payment", 201, headers=key, json={})
        press(started["checkout_url"], "approve")
        eventually(lambda: self.look(order_id)["state"] == "paid", "the order was paid", WITHIN_S)

    def insist(self, method: str, path: str, *expected: int, **more: Any) -> dict[str, Any]:
        """Ask until one of the expected answers comes; a lost connection, 429, 503 and what says "not yet" are asked again."""

        def answered() -> dict[str, Any] | None:
            try:
                answer = self._client.request(method, path, **more)
            except httpx.TransportError:
                time.sleep(0.1)
                return None
            body = dict(answer.json())
            if answer.status_code in expected and body.get("code") not in ("not_called_yet", "still_running"):
                return body
            assert "Retry-After" in answer.headers, f"{method} {path}: {answer.status_code} {answer.text}"
            time.sleep(min(float(answer.headers["Retry-After"]), LONGEST_PAUSE_S))
            return None

        return eventually(answered, f"{method} {path} was answered by one of {expected}", WITHIN_S)


def press(url: str, outcome: str) -> None:
    """Press a button on the provider's page, again if the provider was away."""

    def pressed() -> bool:
        try:
            answer = httpx.post(url, data={"outcome": outcome}, timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code in (200, 303, 409)

    eventually(pressed, "the provider took the payment", WITHIN_S)


def tokens(demo: RunningDemo, count: int) -> list[str]:
    """Access tokens of so many buyers; always the same ones of a demo."""
    printed = demo.verb("demo-tokens", "--count", str(count))
    assert printed.returncode == 0, printed.stderr
    return [json.loads(line)["access_token"] for line in printed.stdout.splitlines()]


@contextlib.contextmanager
def crowd(demo: RunningDemo, count: int, sale: str, product: str) -> Iterator[list[Future[str]]]:
    """So many buyers, all under way at once while the body runs; their journeys' ends are awaited after it."""
    buyers = [PatientBuyer(demo.url, token, sale, product) for token in tokens(demo, count)]
    with ThreadPoolExecutor(count) as threads:
        yield [threads.submit(buyer.journey) for buyer in buyers]


def some_have(journeys: list[Future[str]], share: float) -> Callable[[], bool]:
    """A question: whether this share of the journeys has ended. For a fault in the middle of it all."""
    return lambda: sum(journey.done() for journey in journeys) >= share * len(journeys)


def assert_sold_out(
    demo: RunningDemo, sale: str, journeys: list[Future[str]], units: int, *, log_lost: bool = False
) -> None:
    """Every unit went to one buyer, everybody else came too late, and every book agrees.

    `log_lost`: the store was emptied, and with it the second of the call log that had not been copied yet.
    """
    ended = sorted(journey.result() for journey in journeys)
    assert ended == [PAID] * units + [TOO_LATE] * (len(journeys) - units)
    checked = demo.verb("reconcile")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    books = demo.books(sale)
    assert books.faults == []
    assert (books.sold, books.held) == (units, 0)
    assert log_lost or books.calls >= units

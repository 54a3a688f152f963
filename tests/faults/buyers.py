"""A patient buyer: buys one unit over HTTP and asks again, with the same keys, whatever answer was lost or put off.

What a store has forgotten they bring back as any buyer would: who has no place joins again, who has a receipt shows it.
Any other answer than those that the contract names is an error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from tests.faults.journal import Journal, Seen
from tests.running import eventually

# An outage of 20 s may push a callback to the provider's next attempt 30 s later, and a machine may be busy with other things.
WITHIN_S = 180.0
# Retry-After spreads a crowd of thousands over seconds; so few need not be that polite.
LONGEST_PAUSE_S = 1.0
LOOK_AGAIN_S = 0.5
# Loading the machine's certificates for each of hundreds of clients would take seconds, and there is no TLS on loopback.
_TLS = httpx.create_ssl_context()


class End(StrEnum):
    """How a buyer's way may end."""

    PAID = "paid"
    CANCELLED = "cancelled"
    TOO_LATE = "too late"


class Wish(StrEnum):
    """What a buyer does with an order that holds a unit; most are buttons of the provider's page."""

    APPROVE = "approve"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    DECLINE = "decline"  # and then approve
    LATE = "late"  # and then cancel: the money comes afterwards, and has to go back
    CANCEL = "cancel"  # without paying


@dataclass(frozen=True, slots=True)
class Plan:
    """One buyer's part. `wave`: 0 orders at once, any other keeps the pass until its signal; `twice`: sends the order again."""

    lane: int = 0
    wish: Wish = Wish.APPROVE
    wave: int = 0
    twice: bool = False


class PatientBuyer:
    """One buyer on the way to one unit. Closes its connections at the end of `journey`."""

    def __init__(
        self,
        url: str,
        token: str,
        sale: str,
        product: str,
        *,
        plan: Plan,
        journal: Journal,
        signal: threading.Event,
    ) -> None:
        self._client = httpx.Client(
            base_url=url,
            timeout=10,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            verify=_TLS,
        )
        self._account = token[-16:]
        self._ticket = f"/api/v1/sales/{sale}/ticket"
        self._pass = f"/api/v1/sales/{sale}/pass"
        self._orders = f"/api/v1/sales/{sale}/orders"
        self._product = product
        self._plan = plan
        self._journal = journal
        self._signal = signal
        self._seen = Seen(self._plan.lane)
        self._receipt = ""

    def journey(self) -> End:
        """The whole way to its end."""
        with self._client:
            admission = self.admission()
            if admission is not None:
                self._signal.wait(WITHIN_S)
                if self.order(admission) and self.decided()["state"] != "rejected":
                    return self._settle()
            self._leave()
            return End.TOO_LATE

    # ------------------------------------------------------------ the line

    def join(self) -> dict[str, Any]:
        """Take a place; the ticket, or the problem that says that nothing is left."""
        return self.insist("PUT", self._ticket, 200, 201, 409)

    def admission(self) -> str | None:
        """Wait for the turn and claim it; None when nothing is left."""
        place, until = self.join(), time.monotonic() + WITHIN_S
        while place.get("code") != "sold_out" and place["state"] not in ("sold_out", "all_held"):
            assert time.monotonic() < until, f"neither called nor told that nothing is left: {place}"
            if place["state"] in ("called", "admitted"):
                claimed = self.insist("POST", self._pass, 200, 404, 409, 410)
                if "pass" in claimed:
                    return str(claimed["pass"])
            elif place["state"] == "waiting":
                time.sleep(min(place["poll_after_ms"], 1000) / 1000)
            place = self.insist("GET", self._ticket, 200, 404)
            if place.get("code") == "no_ticket" or place["state"] in ("missed", "lapsed"):
                place = self.join()
        self.insist(
            "DELETE", self._ticket, 204
        )  # else a unit that comes back would wait for somebody who is gone
        return None

    def _leave(self) -> None:
        """Give place and pass back: else a unit that a cancellation frees would wait for somebody who is gone.

        Who was rejected a moment ago still has an order for the line, until it has heard of the decision.
        """

        def left() -> bool:
            return self.insist("DELETE", self._ticket, 204, 409).get("code") != "order_open"

        eventually(left, "the line has heard that the order is no more", WITHIN_S)

    # ------------------------------------------------------------ the order

    def order(self, admission: str) -> bool:
        """Order one unit, always under the same key; False when nothing is left."""
        headers = {"Admission-Pass": admission, "Idempotency-Key": f"order-{self._account}"}
        request = {"headers": headers, "json": {"lines": [{"product_id": self._product, "quantity": 1}]}}
        self._seen.sent_at = time.monotonic()
        accepted = self.insist("POST", self._orders, 202, 409, **request)
        if accepted.get("code") == "sold_out":
            return False
        self._receipt = accepted["receipt"]
        self._seen.order_id = accepted["order_id"]
        self._seen.accepted_at = time.monotonic()
        self._journal.accepted(self._seen)
        if self._plan.twice:
            self._send_again(accepted, request)
        return True

    def _send_again(self, accepted: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Once more, as an impatient finger would. Where it is answered by 202 at all, it is the same order."""
        try:
            answer = self._client.request("POST", self._orders, **request)
        except httpx.TransportError:
            return
        if answer.status_code == 202:
            assert answer.json() == accepted, f"one key, two orders: {accepted} {answer.text}"

    def decided(self) -> dict[str, Any]:
        """The order once it holds a unit or is rejected, its receipt shown with every question."""
        return self._await_state("reserved", "rejected", "paying", "paid")

    def look(self) -> dict[str, Any]:
        """The order, or the problem that nobody knows it."""
        path = f"/api/v1/orders/{self._seen.order_id}"
        return self.insist("GET", path, 200, headers={"Order-Receipt": self._receipt})

    def _await_state(self, *states: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            order = self.look()
            if order["state"] != "queued" and self._seen.decided_at is None:
                self._seen.decided_at = time.monotonic()
            self._seen.state = order["state"]
            if order["state"] in states:
                return order
            time.sleep(LOOK_AGAIN_S)
            return None

        return eventually(reached, f"order {self._seen.order_id} became {' or '.join(states)}", WITHIN_S)

    # ------------------------------------------------------------ the money

    def _settle(self) -> End:
        """Pay or not, as this buyer's wish is, and wait until the order says so."""
        match self._plan.wish:
            case Wish.CANCEL:
                self._cancel()
                return End.CANCELLED
            case Wish.LATE:
                self._press(self._start_payment("first"), Wish.LATE)
                self._cancel()
                return End.CANCELLED
            case Wish.DECLINE:
                self._press(self._start_payment("first"), Wish.DECLINE)
                self._await_state("reserved")
                self._press(self._start_payment("second"), Wish.APPROVE)
            case wish:
                self._press(self._start_payment("first"), wish)
        self._await_state("paid")
        self._seen.paid_at = time.monotonic()
        return End.PAID

    def _start_payment(self, attempt: str) -> str:
        key = {"Idempotency-Key": f"pay-{attempt}-{self._account}"}
        path = f"/api/v1/orders/{self._seen.order_id}/payment"
        return str(self.insist("POST", path, 201, headers=key, json={})["checkout_url"])

    def _press(self, url: str, wish: Wish) -> None:
        """Press a button on the provider's page, again if the provider was away."""

        def pressed() -> bool:
            try:
                answer = self._client.post(url, data={"outcome": wish})
            except httpx.TransportError:
                return False
            return answer.status_code in (200, 303, 409)

        eventually(pressed, "the provider took the payment", WITHIN_S)
        self._seen.pressed_at = time.monotonic()

    def _cancel(self) -> None:
        self.insist("POST", f"/api/v1/orders/{self._seen.order_id}/cancel", 200, 202, 409)
        self._await_state("cancelled")

    def insist(self, method: str, path: str, *expected: int, **more: Any) -> dict[str, Any]:
        """Ask until one of the expected answers comes; a lost connection, 429, 503 and what says "not yet" are asked again."""

        def answered() -> dict[str, Any] | None:
            try:
                answer = self._client.request(method, path, **more)
            except httpx.TransportError:
                time.sleep(0.1)
                return None
            body = dict(answer.json()) if answer.content else {"code": "none"}
            if answer.status_code in expected and body.get("code") not in ("not_called_yet", "still_running"):
                return body
            assert "Retry-After" in answer.headers, f"{method} {path}: {answer.status_code} {answer.text}"
            time.sleep(min(float(answer.headers["Retry-After"]), LONGEST_PAUSE_S))
            return None

        return eventually(answered, f"{method} {path} was answered by one of {expected}", WITHIN_S)

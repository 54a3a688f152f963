"""One buyer's whole journey as Locust drives it: login -> cart -> line -> claim -> order -> pay.

Start it through `make load` (see `load/run.py`), which brings up a sale of its own and checks the books at the end.
By hand, against a running demo:

    FIRSTCOME_LOAD_BUYERS=buyers.jsonl locust -f load/locustfile.py --headless -u 50 -r 10 --host http://127.0.0.1:8000

`buyers.jsonl` is what `firstcome demo-tokens` prints; a line with a `password` signs in first.
A refusal that the contract names (sold out, turn over) ends a journey and is no failure; every other answer is one.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import HttpUser, constant, events, task
from locust.env import Environment

SALE = os.environ.get("FIRSTCOME_LOAD_SALE", "demo")
BUYERS = Path(os.environ.get("FIRSTCOME_LOAD_BUYERS", "buyers.jsonl"))
REPORT = os.environ.get("FIRSTCOME_LOAD_REPORT")
GONE = {"sold_out", "closed", "lapsed", "done"}  # ticket states that end a journey without a purchase
DECIDED = {"reserved", "paying", "paid", "rejected", "expired", "cancelled"}

endings: Counter[str] = Counter()
put_off: Counter[str] = Counter()  # answers 503 whose Retry-After was waited for, by step
sold_out_at: list[float] = []
began_at = time.monotonic()


class JourneyOver(Exception):
    """The journey ended early with a refusal that the contract names."""


@events.init.add_listener
def _load_buyers(environment: Environment, **_: Any) -> None:
    lines = [json.loads(line) for line in BUYERS.read_text("utf-8").splitlines() if line.strip()]
    environment.buyers = iter(lines)  # type: ignore[attr-defined]
    environment.buyer_count = len(lines)  # type: ignore[attr-defined]


@events.quitting.add_listener
def _report(environment: Environment, **_: Any) -> None:
    steps = {
        entry.name: {
            "count": entry.num_requests,
            "p50_ms": entry.get_response_time_percentile(0.5),
            "p95_ms": entry.get_response_time_percentile(0.95),
            "p99_ms": entry.get_response_time_percentile(0.99),
        }
        for entry in environment.stats.entries.values()
    }
    report = {
        "endings": endings,
        "failures": environment.stats.total.num_failures,
        "put_off": put_off,
        "sold_out_s": sold_out_at[0] if sold_out_at else None,
        "seconds": time.monotonic() - began_at,
        "steps": steps,
    }
    text = json.dumps(report)
    if REPORT:
        Path(REPORT).write_text(text, "utf-8")
    print("endings:", dict(endings))


class Buyer(HttpUser):
    """A buyer who goes through the sale once and then stands still, so that nobody is respawned."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Take the next buyer of the list."""
        self.buyer = next(self.environment.buyers, None)

    @task
    def journey(self) -> None:
        """The whole way, once."""
        if self.buyer is None:
            self._stand_still()
        try:
            ending = self._buy()
        except JourneyOver as over:
            ending = str(over)
        endings[ending] += 1
        if "sold_out" in ending and not sold_out_at:
            sold_out_at.append(time.monotonic() - began_at)
        if endings.total() >= self.environment.buyer_count:
            gevent.spawn_later(0.1, self.environment.runner.quit)
        self._stand_still()

    def _stand_still(self) -> None:
        gevent.sleep(86_400)

    # ------------------------------------------------------------------ the steps

    def _buy(self) -> str:
        self._sign_in()
        product = self._fill_cart()
        self._wait_in_line(self._join())
        admission = self._claim()
        order = self._order(admission, product)
        if order["state"] == "rejected":
            return f"rejected:{order['reason']}"
        return self._pay(order["order_id"])

    def _sign_in(self) -> None:
        token = self.buyer.get("access_token")
        while token is None:
            body = {"email": self.buyer["email"], "password": self.buyer["password"]}
            answer = self._ask("POST", "/api/v1/sessions", "login", {200, 503}, json=body)
            if answer.status_code == 200:
                token = answer.json()["access_token"]
            else:
                gevent.sleep(float(answer.headers["Retry-After"]))
        self.client.headers["Authorization"] = f"Bearer {token}"

    def _fill_cart(self) -> str:
        sale = self._ask("GET", f"/api/v1/sales/{SALE}", "sale", {200}).json()
        products = [item["product_id"] for item in sale["items"]]
        product = products[hash(self.buyer["email"]) % len(products)]
        self._ask("PUT", f"/api/v1/cart/items/{product}", "cart", {200, 204}, json={"quantity": 1})
        return str(product)

    def _join(self) -> dict[str, Any]:
        for _ in itertools.count():
            answer = self._ask("PUT", f"/api/v1/sales/{SALE}/ticket", "join", {200, 201, 409, 503})
            if answer.status_code == 409:
                raise JourneyOver(answer.json()["code"])
            if answer.status_code != 503:
                return dict(answer.json())
            gevent.sleep(float(answer.headers["Retry-After"]))
        raise AssertionError("unreachable")

    def _wait_in_line(self, place: dict[str, Any]) -> None:
        while place["state"] != "called":
            if place["state"] in GONE:
                raise JourneyOver(place["state"])
            if place["state"] == "missed":
                place = self._join()
                continue
            gevent.sleep(place.get("poll_after_ms", 1000) / 1000)
            headers = {"Waiting-Room-Ticket": place["ticket"]}
            answer = self._ask("GET", f"/api/v1/sales/{SALE}/ticket", "poll", {200, 503}, headers=headers)
            if answer.status_code == 200:
                place = answer.json()

    def _claim(self) -> str:
        answer = self._ask("POST", f"/api/v1/sales/{SALE}/pass", "claim", {200, 410})
        if answer.status_code == 410:
            raise JourneyOver(answer.json()["code"])
        return str(answer.json()["pass"])

    def _order(self, admission: str, product: str) -> dict[str, Any]:
        headers = {"Admission-Pass": admission, "Idempotency-Key": str(uuid.uuid4())}
        body = {"lines": [{"product_id": product, "quantity": 1}]}
        while True:
            answer = self._ask(
                "POST", f"/api/v1/sales/{SALE}/orders", "order", {202, 409, 503}, json=body, headers=headers
            )
            if answer.status_code == 202:
                break
            if answer.status_code == 409:
                raise JourneyOver(answer.json()["code"])
            gevent.sleep(float(answer.headers["Retry-After"]))
        return self._until(answer.json()["order_id"], DECIDED, "order state")

    def _pay(self, order_id: str) -> str:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        path = f"/api/v1/orders/{order_id}/payment"
        while True:
            answer = self._ask("POST", path, "payment", {201, 503}, json={}, headers=headers)
            if answer.status_code == 201:
                break
            gevent.sleep(float(answer.headers["Retry-After"]))
        url = answer.json()["checkout_url"]
        with self.client.post(
            url, data={"outcome": "approve"}, name="provider", allow_redirects=False, catch_response=True
        ) as paid:
            if paid.status_code in (200, 303):
                paid.success()
        return str(self._until(order_id, DECIDED - {"reserved", "paying"}, "order settled")["state"])

    # ------------------------------------------------------------------ helpers

    def _until(self, order_id: str, states: set[str], name: str) -> dict[str, Any]:
        while True:
            order = self._ask("GET", f"/api/v1/orders/{order_id}", name, {200, 503})
            if order.status_code == 200 and order.json()["state"] in states:
                return dict(order.json())
            gevent.sleep(0.3)

    def _ask(self, method: str, path: str, name: str, expected: set[int], **kwargs: Any) -> Any:
        with self.client.request(method, path, name=name, catch_response=True, **kwargs) as answer:
            if answer.status_code in expected:
                answer.success()
                if answer.status_code == 503:
                    put_off[name] += 1
            else:
                answer.failure(f"{answer.status_code} {answer.text[:200]}")
                raise JourneyOver(f"failed:{name}:{answer.status_code}")
            return answer

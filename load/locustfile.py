"""One buyer's whole journey as Locust drives it: login -> cart -> line -> claim -> order -> pay.

Start it through `make load` (see `load/run.py`), which brings up a sale of its own and checks the books at the end.
By hand, against a running demo:

    FIRSTCOME_LOAD_BUYERS=buyers.jsonl locust -f load/locustfile.py --headless -u 50 -r 10 --host http://127.0.0.1:8000

`buyers.jsonl` is what `firstcome demo-tokens` prints; a line with a `password` signs in first.
A refusal that the contract names (sold out, turn over) ends a journey and is no failure; every other answer is one.
"""

from __future__ import annotations

import gc
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant, events, task
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


@events.test_start.add_listener
def _quieten_collector(**_: Any) -> None:
    """Ten thousand people are many objects and hardly any garbage: walking them again and again halts the whole crowd for seconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


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


class Buyer(FastHttpUser):
    """A buyer who goes through the sale once and then stands still, so that nobody is respawned."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Take the next buyer of the list."""
        self.buyer = next(self.environment.buyers, None)
        self.session: dict[str, str] = {}

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
        if token is None:
            body = {"email": self.buyer["email"], "password": self.buyer["password"]}
            token = self._ask("POST", "/api/v1/sessions", "login", {200}, json=body).json()["access_token"]
        self.session = {"Authorization": f"Bearer {token}"}

    def _fill_cart(self) -> str:
        sale = self._ask("GET", f"/api/v1/sales/{SALE}", "sale", {200}).json()
        products = [item["product_id"] for item in sale["items"]]
        product = products[hash(self.buyer["email"]) % len(products)]
        self._ask("PUT", f"/api/v1/cart/items/{product}", "cart", {200, 204}, json={"quantity": 1})
        return str(product)

    def _join(self) -> dict[str, Any]:
        answer = self._ask("PUT", f"/api/v1/sales/{SALE}/ticket", "join", {200, 201, 409})
        return dict(_unless_refused(answer, 409).json())

    def _wait_in_line(self, place: dict[str, Any]) -> None:
        while place["state"] != "called":
            if place["state"] in GONE:
                raise JourneyOver(place["state"])
            if place["state"] == "missed":
                place = self._join()
                continue
            gevent.sleep(place.get("poll_after_ms", 1000) / 1000)
            headers = {"Waiting-Room-Ticket": place["ticket"]}
            place = self._ask("GET", f"/api/v1/sales/{SALE}/ticket", "poll", {200}, headers=headers).json()

    def _claim(self) -> str:
        answer = self._ask("POST", f"/api/v1/sales/{SALE}/pass", "claim", {200, 410})
        return str(_unless_refused(answer, 410).json()["pass"])

    def _order(self, admission: str, product: str) -> dict[str, Any]:
        headers = {"Admission-Pass": admission, "Idempotency-Key": str(uuid.uuid4())}
        body = {"lines": [{"product_id": product, "quantity": 1}]}
        path = f"/api/v1/sales/{SALE}/orders"
        answer = self._ask("POST", path, "order", {202, 409}, json=body, headers=headers)
        return self._until(_unless_refused(answer, 409).json()["order_id"], DECIDED, "order state")

    def _pay(self, order_id: str) -> str:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        path = f"/api/v1/orders/{order_id}/payment"
        url = self._ask("POST", path, "payment", {201}, json={}, headers=headers).json()["checkout_url"]
        with self.client.post(
            url, data={"outcome": "approve"}, name="provider", allow_redirects=False, catch_response=True
        ) as paid:
            if paid.status_code in (200, 303):
                paid.success()
        return str(self._until(order_id, DECIDED - {"reserved", "paying"}, "order settled")["state"])

    # ------------------------------------------------------------------ helpers

    def _until(self, order_id: str, states: set[str], name: str) -> dict[str, Any]:
        while True:
            order = self._ask("GET", f"/api/v1/orders/{order_id}", name, {200}).json()
            if order["state"] in states:
                return dict(order)
            gevent.sleep(0.3)

    def _ask(
        self,
        method: str,
        path: str,
        name: str,
        expected: set[int],
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The answer, if it is an expected one. Whoever is put off by a 503 comes again when Retry-After says so."""
        sent = {**self.session, **(headers or {})}
        while True:
            with self.client.request(
                method, path, name=name, headers=sent, catch_response=True, **kwargs
            ) as answer:
                if answer.status_code in expected:
                    answer.success()
                    return answer
                if answer.status_code != 503 or "Retry-After" not in answer.headers:
                    answer.failure(f"{answer.status_code} {answer.text[:200]}")
                    raise JourneyOver(f"failed:{name}:{answer.status_code}")
                answer.success()
                pause_s = float(answer.headers["Retry-After"])
            put_off[name] += 1
            gevent.sleep(pause_s)


def _unless_refused(answer: Any, status: int) -> Any:
    """The answer; a refusal of that status, which the contract names, ends the journey."""
    if answer.status_code == status:
        raise JourneyOver(answer.json()["code"])
    return answer

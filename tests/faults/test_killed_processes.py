"""Any single process killed -9 in the middle of a busy sale: the sale goes on, nothing lost, nothing doubled, nobody overtaken."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from tests.running import Buyer, RunningDemo, eventually

BUYERS = 24
UNITS = 16


def _work_horse(demo: RunningDemo) -> list[psutil.Process]:
    """The forked child of a lanes worker that is deciding orders just now."""
    workers = demo.processes("work", "--queue lanes")
    pids = {worker.pid for worker in workers}
    return [worker for worker in workers if worker.ppid() in pids and not worker.children()]


VICTIMS: dict[str, Callable[[RunningDemo], list[psutil.Process]]] = {
    "worker": lambda demo: demo.processes("work", "--queue lanes")[:1],
    "work-horse": _work_horse,
    "controller": lambda demo: demo.processes("admit"),
    "gateway": lambda demo: [
        process for process in demo.processes("firstcome serve") if not process.children()
    ][:1],
    "sweeper": lambda demo: demo.processes("sweep"),
    "simulator": lambda demo: demo.processes("simulator"),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_the_sale_goes_on_when_a_process_is_killed(demo: RunningDemo, victim: str) -> None:
    sale, product = demo.open_sale(UNITS, calls_per_minute=600, capacity=50)
    tokens = [
        json.loads(line)["access_token"]
        for line in demo.verb("demo-tokens", "--count", str(BUYERS)).stdout.splitlines()
    ]
    killed = threading.Event()
    with ThreadPoolExecutor(BUYERS) as crowd:
        journeys = [crowd.submit(_patient_journey, demo, token, sale, product) for token in tokens]
        time.sleep(0.5)  # the crowd is under way; the moment of the kill is meant to be arbitrary
        for process in eventually(lambda: VICTIMS[victim](demo), f"a {victim} to kill", 10)[:1]:
            process.kill()
            killed.set()
        ended = [journey.result(timeout=90) for journey in journeys]

    assert killed.is_set()
    assert sorted(ended) == ["paid"] * UNITS + ["too late"] * (BUYERS - UNITS)
    _assert_books(demo, sale)


def _patient_journey(demo: RunningDemo, token: str, sale: str, product: str) -> str:
    """A buyer who repeats any request whose answer was lost or put off, always with the same keys."""
    buyer = demo.buyer_by_token(token)
    account = token[-16:]
    _insist(lambda: buyer.client.put(f"/api/v1/sales/{sale}/ticket"), 200, 201)
    while True:
        place = _insist(lambda: buyer.client.get(f"/api/v1/sales/{sale}/ticket"), 200)
        if place["state"] in ("sold_out", "all_held"):
            return "too late"
        if place["state"] == "called":
            break
        time.sleep(min(place["poll_after_ms"], 1000) / 1000)
    admission = _insist(lambda: buyer.client.post(f"/api/v1/sales/{sale}/pass"), 200)["pass"]
    headers = {"Admission-Pass": admission, "Idempotency-Key": f"order-{account}"}
    body = {"lines": [{"product_id": product, "quantity": 1}]}
    accepted = _insist(
        lambda: buyer.client.post(f"/api/v1/sales/{sale}/orders", headers=headers, json=body), 202, 409
    )
    if accepted.get("code") == "sold_out":
        return "too late"
    order = _decided(buyer, accepted["order_id"])
    if order["state"] == "rejected":
        assert order["reason"] == "sold_out"
        return "too late"
    started = _insist(
        lambda: buyer.client.post(
            f"/api/v1/orders/{order['order_id']}/payment",
            headers={"Idempotency-Key": f"pay-{account}"},
            json={},
        ),
        201,
    )
    _press(started["checkout_url"])
    return str(buyer.await_order(order["order_id"], "paid", timeout_s=60)["state"])


def _decided(buyer: Buyer, order_id: str) -> dict[str, Any]:
    def decided() -> dict[str, Any] | None:
        order = _insist(lambda: buyer.client.get(f"/api/v1/orders/{order_id}"), 200)
        return order if order["state"] != "queued" else None

    return eventually(decided, "the order was decided", 30)


def _insist(ask: Callable[[], httpx.Response], *expected: int) -> dict[str, Any]:
    """Ask until one of the expected answers comes; a lost connection, 429 and 503 are asked again."""

    def answered() -> dict[str, Any] | None:
        try:
            answer = ask()
        except httpx.TransportError:
            return None
        if answer.status_code in expected:
            return dict(answer.json())
        assert answer.status_code in (409, 429, 503), f"{answer.status_code} {answer.text}"
        time.sleep(min(float(answer.headers.get("Retry-After", "1")), 2))
        return None

    return eventually(answered, f"one of {expected}", 60)


def _press(url: str) -> None:
    """Press "approve" on the provider's page, again if the provider was away."""

    def pressed() -> bool:
        try:
            return httpx.post(url, data={"outcome": "approve"}, timeout=10).status_code in (200, 303, 409)
        except httpx.TransportError:
            return False

    eventually(lambda: pressed() or None, "the provider took the payment", 30)


def _assert_books(demo: RunningDemo, slug: str) -> None:
    checked = demo.verb("reconcile")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    books = demo.books(slug)
    assert books.faults == []
    assert (books.sold, books.held) == (UNITS, 0)
    assert books.calls >= UNITS

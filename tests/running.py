"""A whole running product for tests: `firstcome demo` as its own process, and a buyer who speaks JSON to it.

Everything in it is real: the gateway's processes, two controllers, RQ workers, the sweeper, the payment stand-in, Redis and the
database. Processes are found by their command line, so that fault tests can end exactly one of them.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from sqlalchemy import select, update

from firstcome import demo_data
from firstcome.private_server import dying_with_parent
from firstcome.settings import DEMO_FILE, load_settings
from load.books import Books, read_books
from shop.storage.database import Database
from shop.storage.tables import sales

T = TypeVar("T")

DEMO_PASSWORD = "demo-buyer-pass"
OPERATOR = ("operator@example.test", "demo-operator-pass")


# Below those that systems give to outgoing connections: a port that is free now would else be somebody's by chance a moment later.
PORTS = range(10_000, 32_000)


def free_ports() -> int:
    """A port P such that P and P + 1 are free just now."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def eventually(look: Callable[[], T | None], what: str, timeout_s: float = 10.0) -> T:
    """The first truthy value of `look`; fails with `what` after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


class RunningDemo:
    """`firstcome demo` in a folder of its own. `url` is its address once `start` has returned. It ends with whoever started it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []
        self._clients: list[httpx.Client] = []
        self._settings = {f"FIRSTCOME_{name.upper()}": value for name, value in settings.items()}

    @property
    def environment(self) -> dict[str, str]:
        """What the demo, and a verb typed beside it, are started with."""
        own = {"FIRSTCOME_PORT": str(self.port), "FIRSTCOME_DATA_DIR": str(self.folder)}
        return {**os.environ, **own, **self._settings}

    def start(self, timeout_s: float = 90) -> RunningDemo:
        """Start and wait for the READY line."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firstcome", "demo"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=dying_with_parent(),
        )
        assert self.process.stdout
        self.output = []
        patience = threading.Timer(timeout_s, self.process.kill)  # also of one that says nothing at all
        patience.start()
        try:
            for line in self.process.stdout:
                self.output.append(line.rstrip())
                if line.startswith("READY "):
                    assert line.split()[1] == self.url
                    return self
        finally:
            patience.cancel()
        raise AssertionError("the demo did not get ready:\n" + "\n".join(self.output))

    def _client(self) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=10)
        self._clients.append(client)
        return client

    def stop(self, sig: signal.Signals = signal.SIGINT, timeout_s: float = 20) -> int:
        """End the demo as Ctrl-C does; returns the exit code."""
        while self._clients:
            self._clients.pop().close()
        if self.process is None:
            return 0
        if self.process.poll() is not None:
            if self.process.stdout:
                self.process.stdout.close()
            return int(self.process.returncode)
        self.process.send_signal(sig)
        try:
            self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()  # whoever calls hears of it, and nobody lives with what is left of it
            raise
        return int(self.process.returncode)

    def verb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another verb of the command line beside the demo."""
        return subprocess.run(
            [sys.executable, "-m", "firstcome", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def books(self, slug: str) -> Books:
        """What the sale's tables say, read straight from the database."""
        db = Database(load_settings(self.folder / DEMO_FILE).database_url)
        try:
            sale_id = db.run(
                lambda tx: tx.execute(select(sales.c.sale_id).where(sales.c.slug == slug)).scalar_one()
            )
            return db.run(read_books, sale_id)
        finally:
            db.dispose()

    def put_sales_away(self) -> None:
        """Let all sales but the demo's own be long over: each that is led, swept and watched costs the following tests their time."""
        long_ago = datetime.now(UTC) - timedelta(days=2)
        others = sales.c.slug.not_in([demo_data.SLUG, demo_data.DRAW_SLUG])
        db = Database(load_settings(self.folder / DEMO_FILE).database_url)
        try:
            db.run(
                lambda tx: tx.execute(
                    update(sales).where(others).values(control="closed", closed_at=long_ago)
                )
            )
        finally:
            db.dispose()

    def processes(self, *words: str) -> list[psutil.Process]:
        """The demo's live descendants whose command line holds all `words`."""
        assert self.process
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(child.cmdline())
                if child.status() != psutil.STATUS_ZOMBIE and all(word in line for word in words):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def operator(self) -> httpx.Client:
        """A client signed in as the demo's operator."""
        email, password = OPERATOR
        body = {"email": email, "password": password}
        answer = httpx.post(f"{self.url}/api/v1/operator/sessions", json=body, timeout=10)
        answer.raise_for_status()
        client = self._client()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    def open_sale(
        self, units: int, *, calls_per_minute: int = 6000, capacity: int = 1000, **more: Any
    ) -> tuple[str, str]:
        """A fresh open FIFO sale of one product; returns its slug and the product's id."""
        slug = f"sale-{uuid.uuid4().hex[:8]}"
        now = datetime.now(UTC)
        with self.operator() as client:
            product = str(client.get("/api/v1/sales/demo").json()["items"][0]["product_id"])
            body = {
                "slug": slug,
                "title": slug,
                "mode": "fifo",
                "lobby_opens_at": (now - timedelta(minutes=1)).isoformat(),
                "opens_at": (now - timedelta(seconds=1)).isoformat(),
                "closes_at": (now + timedelta(hours=2)).isoformat(),
                "calls_per_minute": calls_per_minute,
                "capacity": capacity,
                "items": [{"product_id": product, "allotted": units, "limit_per_buyer": 2}],
                **more,
            }
            _body(client.post("/api/v1/operator/sales", json=body), 201)

            def takes_joins() -> bool | None:
                answer = client.get(f"/api/v1/sales/{slug}/line")
                line = answer.json() if answer.status_code == 200 else {}
                return (line.get("phase") == "open" and line.get("hold") is None) or None

            eventually(takes_joins, f"{slug} is open", 40)
        return slug, product

    def buyer_by_token(self, access_token: str) -> Buyer:
        """A buyer with a token of `demo-tokens`."""
        return Buyer(self._client(), access_token)

    def buyer(self, number: int) -> Buyer:
        """The demo's buyer of that number (1 to 50), signed in by password."""
        client = self._client()
        body = {"email": f"buyer{number}@example.test", "password": DEMO_PASSWORD}
        answer = client.post("/api/v1/sessions", json=body)
        answer.raise_for_status()
        return Buyer(client, answer.json()["access_token"])


class Buyer:
    """A buyer who speaks JSON. Every step asserts the status that the contract names for success."""

    def __init__(self, client: httpx.Client, access_token: str) -> None:
        self.client = client
        self.client.headers["Authorization"] = f"Bearer {access_token}"

    def join(self, sale: str) -> dict[str, Any]:
        """Take a place, or find the own one."""
        return _body(self.client.put(f"/api/v1/sales/{sale}/ticket"), 200, 201)

    def ticket(self, sale: str) -> dict[str, Any]:
        """The own place."""
        return _body(self.client.get(f"/api/v1/sales/{sale}/ticket"), 200)

    def await_call(self, sale: str, timeout_s: float = 40) -> dict[str, Any]:
        """Poll until called."""

        def called() -> dict[str, Any] | None:
            answer = self.client.get(f"/api/v1/sales/{sale}/ticket")
            if answer.status_code in (429, 503):
                time.sleep(float(answer.headers["Retry-After"]))
                return None
            place = _body(answer, 200)
            if place["state"] == "called":
                return place
            time.sleep(min(place["poll_after_ms"], 1000) / 1000)
            return None

        return eventually(called, "the turn was called", timeout_s)

    def claim(self, sale: str) -> str:
        """The admission pass."""
        return str(_body(self.client.post(f"/api/v1/sales/{sale}/pass"), 200)["pass"])

    def order(
        self, sale: str, admission: str, quantities: dict[str, int], key: str | None = None
    ) -> dict[str, Any]:
        """Order; the 202 body."""
        answer = self.client.post(
            f"/api/v1/sales/{sale}/orders",
            headers={"Admission-Pass": admission, "Idempotency-Key": key or str(uuid.uuid4())},
            json={"lines": [{"product_id": product, "quantity": n} for product, n in quantities.items()]},
        )
        return _body(answer, 202)

    def await_order(self, order_id: str, *states: str, timeout_s: float = 40) -> dict[str, Any]:
        """Poll the order until it is in one of `states`; a lost connection and 503 are asked again."""

        def reached() -> dict[str, Any] | None:
            try:
                answer = self.client.get(f"/api/v1/orders/{order_id}")
            except httpx.TransportError:
                return None
            if answer.status_code == 503:
                return None
            order = _body(answer, 200)
            return order if order["state"] in states else None

        return eventually(reached, f"the order became {' or '.join(states)}", timeout_s)

    def pay(self, order_id: str, outcome: str = "approve") -> dict[str, Any]:
        """Start a payment and press the button on the provider's page; returns the started payment."""
        answer = self.client.post(
            f"/api/v1/orders/{order_id}/payment", headers={"Idempotency-Key": str(uuid.uuid4())}, json={}
        )
        started = _body(answer, 201)
        pressed = httpx.post(started["checkout_url"], data={"outcome": outcome}, timeout=10)
        assert pressed.status_code in (200, 303), pressed.text
        return started

    def buy(self, sale: str, quantities: dict[str, int]) -> dict[str, Any]:
        """The whole way to the paid order."""
        self.join(sale)
        self.await_call(sale)
        accepted = self.order(sale, self.claim(sale), quantities)
        self.await_order(accepted["order_id"], "reserved")
        self.pay(accepted["order_id"])
        return self.await_order(accepted["order_id"], "paid")


def _body(answer: httpx.Response, *expected: int) -> dict[str, Any]:
    assert answer.status_code in expected, (
        f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
    )
    return dict(answer.json())

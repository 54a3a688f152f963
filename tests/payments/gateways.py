"""Two gateways as processes of their own on one database and one Redis, and a provider's callbacks sent to them over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from firstcome.settings import Settings, inherited_environment
from shop.payments.webhooks import read_secrets, sign
from shop.storage.database import Database, Tx
from shop.storage.tables import (
    orders,
    outbox,
    payment_events,
    payments,
    reservations,
    sale_items,
    stock_ledger,
)
from tests.running import free_ports
from tests.till import SECRET

CALLBACK = "/api/v1/payments/callbacks/simulator"
TABLES = (orders, payments, reservations, sale_items, stock_ledger, outbox)

Books = Mapping[str, list[tuple[Any, ...]]]


@dataclass
class Gateway:
    """One gateway's process; `kill()` ends it as a power cut would, `start()` begins it again at the same address."""

    settings: Settings
    log: Path
    port: int = field(default_factory=free_ports)
    process: subprocess.Popen[bytes] | None = None
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False)

    def start(self) -> Gateway:
        own = self.settings.model_copy(update={"port": self.port, "base_url": "", "serve_workers": 1})
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "firstcome", "serve"],
                cwd=self.log.parent,  # no .env of whoever runs the tests
                env={**inherited_environment(), "PYTHONPATH": str(Path.cwd()), **own.as_environment()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)  # a server has no event to wait for
        return self

    def kill(self) -> None:
        """kill -9 to the whole group: whoever serves is a child of the process that was started."""
        if self.process is not None:
            kill_group(self.process)
            self.process = None

    def _answers(self) -> bool:
        try:
            return self.client.get("/health/live").is_success
        except httpx.HTTPError:
            return False

    def tell(self, body: bytes, event_id: str, *secrets: str, at_s: int | None = None) -> httpx.Response:
        """Deliver a callback, signed with these secrets, as of that unix time (None: now)."""
        sent_at = int(time.time()) if at_s is None else at_s
        headers = sign(event_id, sent_at, body, read_secrets(secrets or [SECRET]))
        return self.post(body, headers)

    def post(self, body: Any, headers: Any) -> httpx.Response:
        """Whatever a stranger may send to the address of callbacks."""
        return self.client.post(CALLBACK, content=body, headers=headers)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """kill -9 to a process that leads its group, and to its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def books(db: Database) -> Books:
    """Every row of orders, money, stock and effects."""

    def read(tx: Tx) -> Books:
        return {table.name: [tuple(row) for row in tx.all(select(table))] for table in TABLES}

    return db.read(read)


def inbox(db: Database) -> list[tuple[str, str]]:
    """(event id, verdict) of the callbacks that were kept, oldest first."""
    kept = select(payment_events.c.event_id, payment_events.c.verdict).order_by(payment_events.c.inbox_id)
    return [(row.event_id, row.verdict) for row in db.read(lambda tx: tx.all(kept))]


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is this problem document; its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code), body
    if status == 503:
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    return body

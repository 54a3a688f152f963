"""Payment callbacks settled per second, against a handler that runs the same statements and checks nothing.

The statements of the peer are recorded from one real callback and replayed with other ids, so that they are the same whatever
the product's code becomes.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import event, func, select, update

from firstcome import wiring
from load.figures import Figure, interleave, median_ratio, middle, shown
from load.generator import Requests, ask_once, request
from load.peers.orders import order_id
from load.rows.lanes import drained, lane_of, people, scaled
from load.rows.polls import rates
from load.stage import Stage, stage
from shop.payments.settle import receive
from shop.payments.webhooks import read_secrets, sign
from shop.sales.reading import Sale
from shop.storage.database import Tx
from shop.storage.tables import orders, payments

CALLBACKS = 2_000
ROUNDS = 3
CONNECTIONS = 16  # what a provider sends at once; the callbacks of a process share a few threads and database connections
AMOUNT, CURRENCY = 42_000, "KRW"
PATH = "/api/v1/payments/callbacks/simulator"


def against_bare_handler(scale: float = 1.0) -> Iterator[Figure]:
    """Callbacks/s of signed successes for paying orders of one sale."""
    count = scaled(CALLBACKS, scale)
    most = (ROUNDS + 1) * count
    with stage() as here:
        people(here, most + 1)
        here.run("work", "--queue", "lanes")
        here.run("serve")
        ours, theirs = _paying_sale(here, most), _paying_sale(here, most + 1)
        recorded = _record(here, theirs, most + 1)
        bare = here.peer("bare_settle", PATH, str(recorded))
        callbacks = Requests(here.folder / "ours", _callbacks(here, ours, most))
        plain = Requests(here.folder / "theirs", _callbacks(here, theirs, most))
        for port, requests in ((here.port, callbacks), (bare, plain)):
            ask_once(port, requests, count, connections=CONNECTIONS)
        runs = interleave(
            {
                "settled": lambda: ask_once(here.port, callbacks, count, connections=CONNECTIONS),
                "bare": lambda: ask_once(bare, plain, count, connections=CONNECTIONS),
            },
            ROUNDS,
        )
        for sale in (ours, theirs):
            _assert_paid(here, sale, most)
        yield Figure(
            "settle_vs_bare_handler",
            median_ratio(rates(runs["settled"]), rates(runs["bare"])),
            "ratio",
            0.6,
            "higher",
            f"{shown(middle(rates(runs['settled'])))} callbacks/s against {shown(middle(rates(runs['bare'])))}, one hot "
            "stock row, durable commits",
        )


def _paying_sale(here: Stage, count: int) -> Sale:
    """A sale whose orders all wait for the word of the provider; each payment is named after its order."""
    sale = lane_of(here, count)
    drained(here, [sale])
    here.db.run(_let_pay, sale.sale_id)
    return sale


def _let_pay(tx: Tx, sale_id: str) -> None:
    mine = orders.c.sale_id == sale_id
    tx.execute(update(orders).where(mine).values(state="paying"))
    rows = [
        {
            "payment_id": row.order_id,
            "order_id": row.order_id,
            "account_id": row.account_id,
            "provider": "simulator",
            "provider_ref": row.order_id,
            "state": "pending",
            "amount": row.total,
            "currency": row.currency,
            "checkout_url": "http://127.0.0.1/",
            "idempotency_key": row.order_id,
            "request_hash": "x",
            "created_at": tx.now,
            "updated_at": tx.now,
        }
        for row in tx.all(select(orders).where(mine))
    ]
    for first in range(0, len(rows), 1_000):
        tx.insert(payments, rows[first : first + 1_000])


def _callbacks(here: Stage, sale: Sale, count: int) -> Iterator[bytes]:
    for number in range(1, count + 1):
        headers, body = _callback(here, order_id(sale.sale_id, number))
        yield request("POST", PATH, {**headers, "Content-Type": "application/json"}, body)


def _callback(here: Stage, payment_id: str) -> tuple[dict[str, str], bytes]:
    """A signed success as the payment stand-in sends it."""
    data = {"reference": payment_id, "amount": AMOUNT, "currency": CURRENCY, "refunded": 0}
    body = msgspec.json.encode({"type": "payment.succeeded", "data": data})
    keys = read_secrets(here.settings.simulator_webhook_secrets)
    return sign(f"evt_{payment_id}", int(time.time()), body, keys), body


def _record(here: Stage, sale: Sale, number: int) -> Path:
    """Settle one payment here and now, and keep its statements for the peer."""
    pattern = order_id(sale.sale_id, number)
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        statements.append((statement, parameters))

    provider = wiring.providers(here.settings, here.redis)["simulator"]
    headers, body = _callback(here, pattern)
    event.listen(here.db.engine, "before_cursor_execute", note)
    try:
        receive(here.db, wiring.vault(here.settings), provider, headers, body, now=datetime.now(UTC))
    finally:
        event.remove(here.db.engine, "before_cursor_execute", note)
    path = here.folder / "statements"
    path.write_bytes(pickle.dumps((pattern, statements)))
    return path


def _assert_paid(here: Stage, sale: Sale, count: int) -> None:
    paid = (orders.c.sale_id == sale.sale_id) & (orders.c.state == "paid")
    found = here.db.read(lambda tx: tx.scalar(select(func.count()).select_from(orders).where(paid)))
    assert found >= count - (ROUNDS + 1) * CONNECTIONS, f"{found} of {count} orders are paid"

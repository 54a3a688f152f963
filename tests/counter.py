"""A shop's counter for tests: a sale made by the product's own functions, buyers, and a lane that is a Python list."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select, update

from shop.orders.changes import lock_order, move_order, pay_order
from shop.orders.decide import BatchResult, drain_once
from shop.orders.entry import EntryLine, OrderEntry
from shop.orders.rules import OrderState
from shop.payments.rules import PaymentState
from shop.sales.create import create_sale
from shop.sales.reading import Sale, sale_by_id
from shop.sales.rules import ItemDraft, SaleDraft
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, orders, payments, products
from shop.vault import Vault

VAULT = Vault("k1", {"k1": bytes(32)})
PRICE = 1000
ON_HAND = 10_000


class View:
    """A worker's own view of a lane: it takes off what it knows to be decided, beside others who do the same."""

    def __init__(self, entries: Sequence[OrderEntry]) -> None:
        self.entries = list(entries)

    def head(self, count: int) -> Sequence[OrderEntry]:
        return self.entries[:count]

    def take_off(self, result: BatchResult) -> None:
        gone = set(result.lane_ids)
        self.entries = [entry for entry in self.entries if entry.order_id not in gone]


@dataclass
class Counter:
    """One sale and its lane. `open` lays products (`name: (allotted, limit, price)`), buyers and the sale."""

    db: Database
    sale: Sale = field(init=False)
    lane: list[OrderEntry] = field(default_factory=list)
    accepted: int = 0

    def open(self, items: dict[str, tuple[int, int, int]], *, buyers: int = 20, **changes: Any) -> Counter:
        self.db.run(lay_shelf, list(items), buyers)
        self.sale = create_sale(
            self.db,
            "op",
            draft(self.db, items, **changes),
            ticket_key_id="k1",
            min_turn_window_s=0,
        )
        return self

    def order(self, buyer: int, units: int = 1, product: str = "seat", **changes: Any) -> str:
        """Put an order into the lane; its id. By default each has a pass of its own."""
        self.accepted += 1
        values: dict[str, Any] = {
            "order_id": f"order-{self.accepted:05}",
            "sale_id": self.sale.sale_id,
            "account_id": f"buyer{buyer}",
            "pass_jti": f"ticket{self.accepted}.1",
            "pass_exp_ms": 2_000_000_000_000,
            "lines": [EntryLine(product_id=product, quantity=units)],
            "address_id": None,
            "fingerprint": "f",
            "accepted_no": self.accepted,
            "accepted_at_ms": int(time.time() * 1000),
        }
        entry = OrderEntry(**(values | changes))
        self.lane.append(entry)
        return entry.order_id

    def head(self, count: int) -> Sequence[OrderEntry]:
        return self.lane[:count]

    def drain(self, **options: Any) -> BatchResult:
        """One batch; what is decided leaves the lane."""
        result = drain_once(self.db, self.sale.sale_id, self.head, vault=VAULT, **options)
        gone = set(result.lane_ids)
        self.lane = [entry for entry in self.lane if entry.order_id not in gone]
        return result

    def drain_all(self, **options: Any) -> None:
        while self.lane:
            self.drain(**options)

    # ------------------------------------------------------------ what happens to orders elsewhere

    def pay(self, order_id: str) -> None:
        """Money came for the order, as a settled callback leaves it."""
        self.db.run(_pay, order_id)

    def start_paying(self, order_id: str, payment_state: PaymentState = PaymentState.PENDING) -> None:
        """An attempt to pay is open at a provider."""
        self.db.run(_start_paying, order_id, payment_state)

    def let_hold_run_out(self, order_id: str, ago: timedelta = timedelta(minutes=1)) -> None:
        self.db.run(_let_hold_run_out, order_id, ago)

    # ------------------------------------------------------------ looking

    def row(self, order_id: str) -> Row[Any]:
        return self.db.read(lambda tx: tx.one(select(orders).where(orders.c.order_id == order_id)))

    def state(self, order_id: str) -> tuple[str, str | None]:
        """State and reason of a decided order."""
        row = self.row(order_id)
        return row.state, row.reason

    def decided(self) -> list[tuple[int, str]]:
        """(seq, order id) of every order with a seq, by seq."""
        mine = (orders.c.sale_id == self.sale.sale_id) & orders.c.seq.is_not(None)
        query = select(orders.c.seq, orders.c.order_id).where(mine).order_by(orders.c.seq)
        return [(row.seq, row.order_id) for row in self.db.read(lambda tx: tx.all(query))]

    def stock(self, product: str = "seat") -> tuple[int, int, int]:
        """allotted, held, sold."""
        sale = self.db.read(sale_by_id, self.sale.sale_id)
        (item,) = (item for item in sale.items if item.product_id == product)
        return item.allotted, item.held, item.sold

    def on_hand(self, product: str = "seat") -> int:
        mine = products.c.product_id == product
        return int(self.db.read(lambda tx: tx.scalar(select(products.c.on_hand).where(mine))))


def draft(db: Database, items: dict[str, tuple[int, int, int]], **changes: Any) -> SaleDraft:
    """A sale that is open now and for another hour."""
    now = db.read(lambda tx: tx.now)
    values: dict[str, Any] = {
        "slug": "sale",
        "title": "A sale",
        "lobby_opens_at": now - timedelta(hours=2),
        "opens_at": now - timedelta(hours=1),
        "closes_at": now + timedelta(hours=1),
        "items": tuple(
            ItemDraft(product_id=name, allotted=units, limit_per_buyer=limit, price=price)
            for name, (units, limit, price) in items.items()
        ),
    }
    return SaleDraft(**(values | changes))


def lay_shelf(tx: Tx, names: list[str], buyers: int) -> None:
    """Products of these names and accounts `buyer0` …, where they are not there yet."""
    product = {"description": "", "price": PRICE, "currency": "KRW", "on_hand": ON_HAND, "created_at": tx.now}
    tx.insert_missing(
        products, [{"product_id": name, "title": f"A {name} 의자", **product} for name in names]
    )
    tx.insert_missing(accounts, [{"account_id": f"buyer{n}", "created_at": tx.now} for n in range(buyers)])


def _payment(tx: Tx, order: Row[Any], state: PaymentState) -> dict[str, Any]:
    return {
        "payment_id": f"pay-{order.order_id}",
        "order_id": order.order_id,
        "account_id": order.account_id,
        "provider": "simulator",
        "state": state,
        "amount": order.total,
        "currency": order.currency,
        "captured": order.total if state == PaymentState.SUCCEEDED else 0,
        "idempotency_key": f"key-{order.order_id}",
        "request_hash": "hash",
        "created_at": tx.now,
        "updated_at": tx.now,
    }


def _pay(tx: Tx, order_id: str) -> None:
    order = lock_order(tx, order_id)
    assert order is not None
    tx.insert(payments, [_payment(tx, order, PaymentState.SUCCEEDED)])
    pay_order(tx, order, actor="test")


def _start_paying(tx: Tx, order_id: str, state: PaymentState) -> None:
    order = lock_order(tx, order_id)
    assert order is not None
    tx.insert(payments, [_payment(tx, order, state)])
    move_order(tx, order, OrderState.PAYING)


def _let_hold_run_out(tx: Tx, order_id: str, ago: timedelta) -> None:
    tx.execute(update(orders).where(orders.c.order_id == order_id).values(hold_expires_at=tx.now - ago))

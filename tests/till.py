"""A shop with one sale and a payment provider, for tests of money and stock: orders are held, attempts begun, callbacks signed.

Rows are laid as the drain lays them; everything else goes through the product's own functions.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from shop.orders.changes import end_order, lock_order
from shop.orders.rules import HOLDING_STATES, SOLD_STATES, OrderState
from shop.payments.apply import Settled
from shop.payments.providers import Asked, Opened
from shop.payments.providers.simulator import SimulatorProvider
from shop.payments.rules import KEPT, PaymentState, ProviderUnavailable, Verdict
from shop.payments.settle import receive
from shop.payments.start import Start, Started, start_payment
from shop.payments.webhooks import read_secrets, sign
from shop.stock.moves import Movement, move_stock
from shop.storage.database import Database, Tx
from shop.storage.tables import (
    order_lines,
    orders,
    outbox,
    payment_events,
    payments,
    reservations,
    sale_items,
    sales,
    stock_ledger,
)
from shop.vault import Vault

SALE = "sale0000001"
BUYER = "buyer-1"
PRICE = 21_000
UNITS = 2
TOTAL = PRICE * UNITS
ALLOTTED = 1_000
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
API_KEY = "a-key-for-the-tests-only-0123456789"
VAULT = Vault("k1", {"k1": bytes(32)})

_COUNT = itertools.count(1)


def provider_at(url: str = "http://127.0.0.1:9", timeout_s: float = 5.0) -> SimulatorProvider:
    """The adapter; without a URL it can read callbacks only."""
    return SimulatorProvider(url, API_KEY, [SECRET], timeout_s=timeout_s)


class Paper(SimulatorProvider):
    """Opens payments without asking anybody."""

    def start(self, asked: Asked) -> Opened:
        return Opened(f"ref-{asked.payment_id}", f"http://pay/{asked.payment_id}")


class Away(SimulatorProvider):
    """Cannot be reached."""

    def start(self, asked: Asked) -> Opened:
        raise ProviderUnavailable(f"nobody was asked for {asked.payment_id}")


PAPER = Paper("http://127.0.0.1:9", API_KEY, [SECRET])
AWAY = Away("http://127.0.0.1:9", API_KEY, [SECRET])


@dataclass
class Till:
    """The shop; `open()` lays the sale."""

    db: Database
    provider: SimulatorProvider = PAPER
    item: int = 0
    buyer: str = BUYER

    def open(self) -> Till:
        self.item = self.db.run(_lay_sale)
        return self

    # ------------------------------------------------------------ orders and attempts

    def order(self, *, hold_s: float = 600, quantity: int = UNITS) -> str:
        """A reserved order of so many units; its id."""
        order_id = f"order-{next(_COUNT)}"
        self.db.run(_lay_order, self.item, self.buyer, order_id, hold_s, quantity)
        return order_id

    def begin(self, order_id: str, *, running: bool = False) -> str:
        """An attempt that is committed and that no provider has heard of, its start still `running` or not; its payment id."""
        with contextlib.suppress(ProviderUnavailable):
            self._start(order_id, AWAY)
        begun = (payments.c.order_id == order_id) & (payments.c.state == PaymentState.CREATED)
        payment_id = str(self.db.read(lambda tx: tx.scalar(select(payments.c.payment_id).where(begun))))
        if running:
            self.set_lease(payment_id, timedelta(seconds=30))
        return payment_id

    def set_lease(self, payment_id: str, left: timedelta) -> None:
        """As if another process were starting this attempt, and had so much time left for it."""
        this = update(payments).where(payments.c.payment_id == payment_id)
        until = datetime.now(UTC) + left
        self.db.run(lambda tx: tx.execute(this.values(lease_until=until)) and None)

    def open_attempt(self, order_id: str) -> str:
        """An attempt that waits for the buyer at a provider of paper; its payment id."""
        return self._start(order_id, PAPER).payment_id

    def _start(self, order_id: str, provider: SimulatorProvider) -> Started:
        start = Start(
            order_id, self.buyer, (f"key-{next(_COUNT)}",), "hash", "http://shop/return", guarantee_s=0
        )
        return start_payment(self.db, VAULT, {"simulator": provider}, start)

    def end(self, order_id: str, state: OrderState) -> None:
        """Expire or cancel, as the sweep or the buyer does."""

        def work(tx: Tx) -> None:
            order = lock_order(tx, order_id)
            assert order is not None
            end_order(tx, order, state, reason=state, actor="test")

        self.db.run(work)

    def let_hold_run_out(self, order_id: str) -> None:
        past = datetime.now(UTC) - timedelta(seconds=60)
        this = orders.c.order_id == order_id
        self.db.run(lambda tx: tx.execute(update(orders).where(this).values(hold_expires_at=past)) and None)

    def set_state(self, order_id: str, state: OrderState) -> None:
        """What fulfilment will do one day."""
        this = orders.c.order_id == order_id
        self.db.run(lambda tx: tx.execute(update(orders).where(this).values(state=state)) and None)

    # ------------------------------------------------------------ callbacks

    def event(self, kind: str, payment_id: str, **data: Any) -> bytes:
        """The body of a callback as the stand-in writes it."""
        facts = {"reference": payment_id, "amount": TOTAL, "currency": "KRW", "refunded": 0, **data}
        return json.dumps(
            {"type": f"payment.{kind}", "timestamp": "2026-01-01T00:00:00Z", "data": facts}
        ).encode()

    def send(self, body: bytes, event_id: str | None = None) -> Settled:
        """Deliver a genuine callback."""
        now = datetime.now(UTC)
        headers = sign(event_id or f"evt-{next(_COUNT)}", int(now.timestamp()), body, read_secrets([SECRET]))
        return receive(self.db, VAULT, self.provider, headers, body, now=now)

    def hear(self, kind: str, payment_id: str, event_id: str | None = None, **data: Any) -> Verdict:
        """Deliver a genuine callback about a payment; its verdict."""
        return self.send(self.event(kind, payment_id, **data), event_id).verdict

    # ------------------------------------------------------------ looking

    def payment(self, payment_id: str) -> Row[Any]:
        return self.db.read(lambda tx: tx.one(select(payments).where(payments.c.payment_id == payment_id)))

    def order_row(self, order_id: str) -> Row[Any]:
        return self.db.read(lambda tx: tx.one(select(orders).where(orders.c.order_id == order_id)))

    def states(self, order_id: str) -> tuple[str, list[str]]:
        """The order's state and those of its payments in the order of their making."""
        mine = payments.c.order_id == order_id
        made = self.db.read(
            lambda tx: tx.scalars(
                select(payments.c.state).where(mine).order_by(payments.c.created_at, payments.c.payment_id)
            )
        )
        return self.order_row(order_id).state, list(made)

    def stock(self) -> tuple[int, int]:
        """Units held and sold."""
        row = self.db.read(
            lambda tx: tx.one(select(sale_items).where(sale_items.c.sale_item_id == self.item))
        )
        return row.held, row.sold

    def inbox(self) -> list[str]:
        """The verdicts in the inbox, oldest first."""
        return list(
            self.db.read(
                lambda tx: tx.scalars(select(payment_events.c.verdict).order_by(payment_events.c.inbox_id))
            )
        )

    def refunds(self) -> list[str]:
        """The payments whose refund stands in the outbox."""
        wanted = select(outbox.c.dedupe).where(outbox.c.kind == "refund").order_by(outbox.c.outbox_id)
        return [dedupe.removeprefix("refund:") for dedupe in self.db.read(lambda tx: tx.scalars(wanted))]

    def assert_money_and_stock_agree(self) -> None:
        """The law: captured money is a paid order with its units sold, or goes back; and the books add up."""
        self.db.read(_check_orders)
        self.db.read(_check_counters, self.item)


def _lay_sale(tx: Tx) -> int:
    row = {
        "sale_id": SALE,
        "slug": "demo",
        "title": "A sale",
        "mode": "fifo",
        "control": "running",
        "lobby_opens_at": tx.now,
        "opens_at": tx.now,
        "closes_at": tx.now + timedelta(hours=1),
        "calls_per_minute": 60,
        "capacity": 10,
        "turn_window_s": 120,
        "comeback_s": 600,
        "hold_s": 600,
        "pass_s": 900,
        "over_call_limit": 100,
        "ticket_key_id": "k1",
        "created_at": tx.now,
    }
    tx.execute(insert(sales).values(row))
    item = {
        "sale_id": SALE,
        "product_id": "moonjar",
        "price": PRICE,
        "currency": "KRW",
        "limit_per_buyer": 10,
        "allotted": ALLOTTED,
        "held": 0,
        "sold": 0,
    }
    made = tx.execute(insert(sale_items).values(item)).inserted_primary_key
    assert made is not None
    opening = {"sale_item_id": made[0], "delta_allotted": ALLOTTED, "delta_held": 0, "delta_sold": 0}
    tx.insert(stock_ledger, [{**opening, "reason": "allotted", "actor": "test", "at": tx.now}])
    return int(made[0])


def _lay_order(tx: Tx, item: int, buyer: str, order_id: str, hold_s: float, quantity: int) -> None:
    row = {
        "order_id": order_id,
        "sale_id": SALE,
        "account_id": buyer,
        "state": OrderState.RESERVED,
        "pass_jti": f"{order_id}.1",
        "pass_claim": f"{SALE}:{order_id}.1",
        "total": PRICE * quantity,
        "currency": "KRW",
        "accepted_no": 1,
        "accepted_at": tx.now,
        "decided_at": tx.now,
        "hold_expires_at": tx.now + timedelta(seconds=hold_s),
        "hold_extended": False,
        "updated_at": tx.now,
    }
    tx.insert(orders, [row])
    line = {"order_id": order_id, "sale_item_id": item, "product_id": "moonjar", "title": "달항아리 Moon jar"}
    tx.insert(order_lines, [{**line, "quantity": quantity, "unit_price": PRICE}])
    held = {"order_id": order_id, "sale_item_id": item, "quantity": quantity, "state": "held"}
    tx.insert(reservations, [{**held, "created_at": tx.now, "updated_at": tx.now}])
    move_stock(tx, [Movement(item, "held", order_id, held=quantity)], actor="drain")


def _check_orders(tx: Tx) -> None:
    for order in tx.all(select(orders)):
        state = OrderState(order.state)
        mine = tx.all(select(payments).where(payments.c.order_id == order.order_id))
        kept = [row for row in mine if row.state in KEPT]
        units = set(tx.scalars(select(reservations.c.state).where(reservations.c.order_id == order.order_id)))
        if state in SOLD_STATES:
            assert units - {"released"} == {"committed"}, order
            assert len(kept) == 1, (order, mine)
            assert kept[0].captured == order.total, (order, mine)
        else:
            assert units == ({"held"} if state in HOLDING_STATES else units - {"held", "committed"}), order
            assert all(row.late_at is not None for row in kept), (order, mine)
        for row in mine:
            assert (row.captured == 0) == (row.state in (*_UNPAID,)), row
            assert row.refunded <= row.captured or row.review_reason is not None, row


_UNPAID = (PaymentState.CREATED, PaymentState.PENDING, PaymentState.FAILED, PaymentState.CANCELLED)


def _check_counters(tx: Tx, item: int) -> None:
    row = tx.one(select(sale_items).where(sale_items.c.sale_item_id == item))
    deltas = (stock_ledger.c.delta_allotted, stock_ledger.c.delta_held, stock_ledger.c.delta_sold)
    sums = tx.one(select(*(func.sum(delta) for delta in deltas)).where(stock_ledger.c.sale_item_id == item))
    assert (row.allotted, row.held, row.sold) == tuple(int(value) for value in sums)
    for state, counter in (("held", row.held), ("committed", row.sold)):
        these = (reservations.c.sale_item_id == item) & (reservations.c.state == state)
        assert (tx.scalar(select(func.sum(reservations.c.quantity)).where(these)) or 0) == counter

"""What the paper of a sale has on it: orders, payments, stock, and what stands in the outbox. Plain, single-threaded Python."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.model.bank import Account
from tests.model.paper_stock import Stock

MINUTE = 60_000
HOLD, GUARANTEE, LEASE, WAIT, SUSPENDED = 10 * MINUTE, 3 * MINUTE, MINUTE // 2, 10 * MINUTE, 24 * 60 * MINUTE
# All that a sale has given out when it ends: turns and come-back time, a pass; then a hold, and two hours more.
LAST_PASS = (4 * 120 + 600 + 600) * 1000
AFTERLIFE = LAST_PASS + HOLD + 120 * MINUTE

HELD = ("reserved", "paying")
GOODS = ("fulfilling", "shipped", "delivered", "return_requested", "returned")
SOLD = ("paid", "refunding", *GOODS)
OPEN = ("created", "pending")
ENDED = ("failed", "cancelled")
KEPT = ("succeeded", "partially_refunded")
STEPS = {
    "fulfil": ("paid", "fulfilling"),
    "ship": ("fulfilling", "shipped"),
    "deliver": ("shipped", "delivered"),
    "accept-return": ("return_requested", "returned"),
    "refuse-return": ("return_requested", "delivered"),
}


@dataclass
class Order:
    order_id: str
    buyer: str
    jti: str
    units: dict[str, int]
    state: str
    total: int = 0
    seq: int | None = None
    reason: str | None = None
    review: str | None = None
    hold_ends: int | None = None
    lengthened: bool = False

    def told(self) -> tuple[object, ...]:
        """What the row should say."""
        return (
            *(self.state, self.reason, self.review, self.seq, self.total),
            *(self.hold_ends, self.lengthened, dict(self.units)),
        )


@dataclass
class Payment:
    """`until`: what shall be back in all, as the shop has asked for it. `late`: since when it waits for the lane. `foreign`: the
    currency of what came, where it is another.
    """

    payment_id: str
    order: Order
    amount: int
    key: str
    state: str = "created"
    captured: int = 0
    refunded: int = 0
    until: int | None = None
    claimed: int = 0
    foreign: str | None = None
    late: int | None = None
    review: str | None = None
    lease: int | None = None
    page: bool = False
    touched: int = 0

    @property
    def pays(self) -> bool:
        """Its order has its units for this money: at rest, or while a part of it is on its way back."""
        return self.state in KEPT or (self.state == "refund_pending" and self.until is not None)

    def told(self) -> tuple[object, ...]:
        """What the row should say."""
        return (
            *(self.order.order_id, self.state, self.amount, self.captured, self.foreign, self.refunded),
            *(self.until, self.late, self.review, self.lease, self.page),
        )


@dataclass
class News:
    """A callback as the bank writes it."""

    event_id: str
    payment_id: str
    fact: str
    amount: int
    refunded: int
    currency: str = "KRW"


@dataclass
class Paper:
    """`bank` is what the bank should know; `effects` what stands in the outbox: (kind, subject, what of it, key), of
    a refund what shall be back in all, and how much of that is asked for."""

    stock: Stock
    now: int
    closes: int
    bank: dict[str, Account] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    effects: list[tuple[str, str, tuple[int, int] | None, str]] = field(default_factory=list)
    inbox: dict[str, str] = field(default_factory=dict)
    control: str = "running"
    ended_at: int | None = None
    seq: int = 0

    def _turn(self, payment: Payment, state: str) -> None:
        payment.state, payment.touched = state, self.now
        payment.lease = payment.late = payment.until = None

    def _pay(self, order: Order) -> None:
        order.state = "paid"
        self.stock.sell_held(order.order_id, order.units)

    def _free(self, order: Order, state: str) -> None:
        order.state = state
        self.stock.release(order.order_id, order.units, state)

    def _over(self, order: Order) -> bool:
        return (order.hold_ends or 0) <= self.now

    def _suspended(self, order: Order) -> bool:
        return any(one.state == "suspense" for one in self._of(order.order_id))

    def _of(self, order_id: str) -> list[Payment]:
        return [one for one in self.payments.values() if one.order.order_id == order_id]

    def _others(self, payment: Payment) -> list[Payment]:
        return [one for one in self._of(payment.order.order_id) if one is not payment]

    def _by_id(self) -> list[Order]:
        return [self.orders[order_id] for order_id in sorted(self.orders)]

"""One sale in a trace, on paper and in the shop: what both must agree on after every step, and how things are done to both.

Whatever happens is done by the product's own functions on a real database and by `paper_shop` in plain Python; the answers are
compared, and after every step every row of orders, payments, stock, ledger and reservations, and the bank's own books. The one
thing that is not as in the product: the database's clock is told what time it is, so that a trace may let hours pass.
"""

from __future__ import annotations

import json
from collections import Counter as Multiset
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from shop.errors import Refused, Unavailable
from shop.orders.entry import EntryLine, OrderEntry
from shop.payments.settle import receive
from shop.payments.start import Start, start_payment
from shop.payments.webhooks import read_secrets, sign
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Database
from tests.counter import ON_HAND, VAULT, Counter
from tests.model.bank import Bank, Died
from tests.model.paper import News
from tests.model.paper_shop import PaperShop
from tests.model.paper_stock import Item, Stock
from tests.model.stall_rows import BEGIN, Clock, empty, read_rows, same
from tests.till import SECRET

# name: (allotted, limit, price); what costs nothing needs no payment.
ITEMS = {"seat": (6, 3, 1000), "desk": (4, 2, 500), "gift": (3, 1, 0)}
BUYERS = 3


class Stall(RuleBasedStateMachine):
    """A sale of its own in an empty database."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__()
        self.db, self.clock, self.bank = db, clock, Bank()
        clock.now = BEGIN
        db.run(empty)
        self.counter = Counter(db).open(ITEMS, buyers=BUYERS)
        self.sale_id = self.counter.sale.sale_id
        self.products = {item.sale_item_id: item.product_id for item in self.counter.sale.items}
        items = {
            name: Item(price, limit, units, ON_HAND - units) for name, (units, limit, price) in ITEMS.items()
        }
        self.paper = PaperShop(Stock(items), BEGIN, to_millis(self.counter.sale.closes_at))
        self.bank.at_once = self._at_once
        self.quick: News | None = None
        self.entries: list[OrderEntry] = []
        self.news: list[News] = []
        self.told: dict[str, tuple[str, int, int]] = {}
        self.names = 0

    # ------------------------------------------------------------ what both must agree on

    @invariant()
    def _agree(self) -> None:
        """Every row that the paper can foretell, and what the bank knows."""
        paper, found = self.paper, self.db.read(read_rows, self.products)
        same({key: one.told() for key, one in paper.orders.items()}, found["orders"], "orders")
        same({key: one.told() for key, one in paper.payments.items()}, found["payments"], "payments")
        counters = {name: (it.allotted, it.held, it.sold, it.shelf) for name, it in paper.stock.items.items()}
        same(counters, found["counters"], "counters")
        same(Multiset(paper.stock.ledger), found["ledger"], "ledger")
        same(
            {key: Multiset(states) for key, states in paper.stock.reserved.items()},
            found["reserved"],
            "reservations",
        )
        same(paper.seq, found["seq"], "seq")
        same(paper.bank, self.bank.accounts, "the bank's books")
        for payment_id, account in self.bank.accounts.items():  # the bank tells of every change
            if self.told.get(payment_id) != account.state():
                self.told[payment_id] = account.state()
                self.news.append(self._news_of(payment_id))

    # ------------------------------------------------------------ small helpers

    def _step(self, ms: int = 1, mood: str = "open") -> None:
        self.clock.now += ms
        self.paper.now = self.clock.now
        self.bank.mood = mood
        self.quick = None

    def _both(self, paper: Callable[[], str], shop: Callable[[], str]) -> None:
        """The same thing in both; they answer the same."""
        self._step()
        same(paper(), word(shop), "the answer")

    def _accept(self, buyer: int, lines: dict[str, int], **changes: Any) -> str:
        wanted = [EntryLine(product_id=name, quantity=units) for name, units in lines.items()]
        order_id = self.counter.order(buyer, lines=wanted, **changes)
        self.entries.append(self.counter.lane[-1])
        return order_id

    def _start(self, order: Any, mood: str, fresh: bool) -> None:
        self._step(mood=mood)
        mine = [one.key for one in self.paper._of(order.order_id)]
        key = mine[-1] if mine and not fresh else self._name("key")
        asked = len(self.bank.asked)
        wish = Start(order.order_id, order.buyer, (key,), "hash", "http://shop/return")
        got = word(lambda: f"page {start_payment(self.db, VAULT, {'simulator': self.bank}, wish).payment_id}")
        new = self.bank.asked[-1] if len(self.bank.asked) > asked else None
        same(self.paper.start(order.order_id, key, mood, new, self.quick), got, "the answer")

    def _at_once(self, payment_id: str) -> None:
        self.quick = self._news_of(payment_id)
        self._deliver(self.quick)

    def _at_bank(self, payment_id: str, what: Callable[[Any], None]) -> None:
        what(self.bank.accounts[payment_id])
        what(self.paper.bank[payment_id])
        self._agree()

    def _hear(self, news: News) -> None:
        self._step()
        same(self.paper.hear(news), self._deliver(news), "the verdict")

    def _deliver(self, news: News) -> str:
        facts = {
            "reference": news.payment_id,
            "amount": news.amount,
            "currency": news.currency,
            "refunded": news.refunded,
        }
        body = json.dumps({"type": f"payment.{news.fact}", "data": facts}).encode()
        headers = sign(news.event_id, self.clock.now // 1000, body, read_secrets([SECRET]))
        return receive(
            self.db, VAULT, self.bank, headers, body, now=from_millis(self.clock.now)
        ).verdict.value

    def _news_of(self, payment_id: str) -> News:
        fact, amount, refunded = self.bank.accounts[payment_id].state()
        return News(self._name("evt"), payment_id, "refunded" if refunded else fact, amount, refunded)

    def _name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}-{self.names}"

    def _accounts(self, *facts: str) -> list[str]:
        return [name for name, account in self.bank.accounts.items() if account.fact in facts]

    def _payments(self, *states: str) -> list[Any]:
        return [one for one in self.paper.payments.values() if one.state in states]

    def _orders(self, *states: str) -> list[Any]:
        return [one for one in self.paper.orders.values() if one.state in states]

    def _order(self, pick: int, *states: str) -> Any:
        """One of the orders in these states, or now and then any."""
        fitting = self._orders(*states)
        return one_of(fitting if fitting and pick < 10 else list(self.paper.orders.values()), pick)


def one_of(choices: list[Any], pick: int) -> Any:
    """The newest for 0; indices count round, so that a trace from which steps were taken still means something."""
    return choices[-1 - pick % len(choices)]


def word(work: Callable[[], str]) -> str:
    """The answer, or the name of the refusal."""
    try:
        return work()
    except (Refused, Unavailable, Died) as refusal:
        return type(refusal).__name__

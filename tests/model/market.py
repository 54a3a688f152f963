"""One sale in a trace: buyers who order, pay, give up or let their time run out, and a provider whose news come as they like.

`step` does one thing by chance and `settle` lets everything come to rest. Every decision of the lane is foretold by three lines of
plain Python, and after every step the laws are looked at from outside: legal moves, units, seqs, books.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from shop.errors import IllegalMove
from shop.mail.effects import deliver_due
from shop.orders.cancel import CANCEL, cancel_effect, cancel_order
from shop.orders.decide import drain_once
from shop.orders.expire import expire_due
from shop.orders.late import late_entries
from shop.orders.rules import HOLDING_STATES, LIVE_STATES, ORDER_MOVES, SOLD_STATES, OrderState
from shop.payments.apply import REFUND
from shop.payments.refund import refund_effect
from shop.payments.rules import MOVES, Fact, PaymentState, Report
from shop.payments.settle import receive
from shop.payments.start import Start, start_payment
from shop.payments.webhooks import read_secrets, sign
from shop.sales.acting import act
from shop.sales.rules import Action
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from shop.storage.tables import order_lines, orders, payments
from tests.counter import VAULT, Counter
from tests.model.bank import Bank
from tests.till import SECRET

UNITS, LIMIT, PRICE, BUYERS = 6, 3, 1000, 5
STEPS = (
    "order",
    "order",
    "drain",
    "start",
    "start",
    "pay",
    "pay",
    "pay wrongly",
    "decline",
    "hear",
    "hear",
    "hear",
)
STEPS += ("hear again", "time out", "sweep", "cancel", "give up", "effects", "late", "refund outside")  # fmt: skip


class Market:
    """A sale with its own lane and bank; `seed` decides everything."""

    def __init__(self, db: Database, seed: int) -> None:
        self.dice = random.Random(seed)
        self.db, self.bank = db, Bank()
        self.counter = Counter(db, accepted=seed * 1000).open(
            {"seat": (UNITS, LIMIT, PRICE)}, buyers=BUYERS, slug=f"sale{seed}"
        )
        self.news: list[tuple[str, str, Report]] = []
        self.seen: dict[str, str] = {}
        self.done: list[str] = []
        self.events = 0

    # ------------------------------------------------------------ what may happen

    def step(self) -> None:
        what = self.dice.choice(STEPS)
        self.done.append(what)
        getattr(self, what.replace(" ", "_"))()
        self.check()

    def order(self) -> None:
        self.counter.order(self.dice.randrange(BUYERS), self.dice.randint(1, LIMIT))

    def drain(self) -> None:
        """Decide all that waits. What will be decided is known before: the limit, then the units, one after the other."""
        foretold = self._foretell()
        while self.counter.lane:
            result = drain_once(
                self.db, self.counter.sale.sale_id, self.counter.head, vault=VAULT, batch_max=3
            )
            gone = set(result.lane_ids)
            self.counter.lane = [entry for entry in self.counter.lane if entry.lane_id not in gone]
        found = {order_id: tuple(self.counter.state(order_id)) for order_id in foretold}
        assert found == foretold, self.done

    def start(self) -> None:
        if order := self._some(*HOLDING_STATES):
            wish = Start(
                order.order_id, order.account_id, (f"key-{self._event()}",), "hash", "http://shop/return"
            )
            try:
                start_payment(self.db, VAULT, {"simulator": self.bank}, wish)
            except IllegalMove:  # its time is over, or somebody has to look at money of another amount first
                assert self._is_frozen(order) or order.hold_expires_at <= datetime.now(UTC), self.done

    def pay(self) -> None:
        if payment_id := self._account(Fact.PENDING, Fact.FAILED, Fact.CANCELLED):
            self.bank.capture(payment_id, self.bank.accounts[payment_id].asked)
            self._tell(payment_id)

    def pay_wrongly(self) -> None:
        if self.dice.random() < 0.3 and (payment_id := self._account(Fact.PENDING)):
            self.bank.capture(payment_id, self.bank.accounts[payment_id].asked + self.dice.choice((-1, 500)))
            self._tell(payment_id)

    def decline(self) -> None:
        if payment_id := self._account(Fact.PENDING):
            self.bank.decline(payment_id)
            self._tell(payment_id)

    def refund_outside(self) -> None:
        if payment_id := self._account(Fact.SUCCEEDED, Fact.REFUNDED):
            account = self.bank.accounts[payment_id]
            if account.kept:
                self.bank.refund(payment_id, None, self.dice.choice((account.kept, 1)))
                self._tell(payment_id)

    def hear(self) -> None:
        """Some news arrive, in no order; half of them will arrive again."""
        if self.news:
            news = self.news.pop(self.dice.randrange(len(self.news)))
            self._deliver(*news)
            if self.dice.random() < 0.5:
                self.news.append(news)

    def hear_again(self) -> None:
        """The provider repeats how a payment stands, under a new event id."""
        if payment_id := self._account(*Fact):
            self._tell(payment_id)

    def time_out(self) -> None:
        if order := self._some(*HOLDING_STATES):
            self.counter.let_hold_run_out(order.order_id)

    def sweep(self) -> None:
        expire_due(self.db, VAULT, {"simulator": self.bank})

    def cancel(self) -> None:
        if order := self._some(*HOLDING_STATES):
            try:
                cancel_order(self.db, VAULT, order.account_id, order.order_id)
            except IllegalMove:
                assert self._is_frozen(order), self.done

    def give_up(self) -> None:
        if waiting := [entry for entry in self.counter.lane if entry.late is None]:
            entry = self.dice.choice(waiting)
            cancel_order(self.db, VAULT, entry.account_id, entry.order_id, entry)

    def effects(self) -> None:
        providers = {"simulator": self.bank}
        effects = {
            REFUND: refund_effect(self.db, VAULT, providers),
            CANCEL: cancel_effect(self.db, VAULT, providers),
        }
        deliver_due(self.db, VAULT, effects)

    def late(self) -> None:
        """Money that came after its hold goes to the end of the lane, perhaps twice."""
        mine = [one for one in late_entries(self.db) if one.sale_id == self.counter.sale.sale_id]
        self.counter.lane += mine * self.dice.randint(1, 2)

    # ------------------------------------------------------------ the end

    def settle(self) -> None:
        """Everybody's time is over and every piece of news arrives; nothing is left to happen but what a person has to decide."""
        for _ in range(3):
            for order in self._orders():
                if order.state in HOLDING_STATES:
                    self.counter.let_hold_run_out(order.order_id)
            for payment_id in self.bank.accounts:
                self._tell(payment_id)
            while self.news:
                self._deliver(*self.news.pop(self.dice.randrange(len(self.news))))
            for what in ("late", "drain", "sweep", "effects"):
                getattr(self, what)()
            self.check()
        act(self.db, "op", self.counter.sale.sale_id, Action.CANCEL)
        self.check()
        self._check_money()
        allotted, held, sold = self.counter.stock()
        assert allotted == held + sold, "what was not sold is back on the shelf"
        frozen = {order.order_id for order in self._orders() if order.state in HOLDING_STATES}
        assert all(self._is_frozen(order) for order in self._orders() if order.order_id in frozen), self.done

    # ------------------------------------------------------------ the laws

    def check(self) -> None:
        """What holds at every moment."""
        assert reconcile(self.db) == [], self.done
        self._check_moves()
        rows = self._orders()
        held = self._units(rows, HOLDING_STATES)
        sold = self._units(rows, SOLD_STATES)
        allotted, *counted = self.counter.stock()
        assert counted == [held, sold], self.done
        assert held + sold <= allotted <= UNITS, self.done
        numbers = [number for number, _ in self.counter.decided()]
        assert numbers == list(range(1, len(numbers) + 1)), self.done

    def _check_moves(self) -> None:
        """Orders and payments went only where their tables lead."""
        for row in self._orders():
            before = OrderState(self.seen.get(row.order_id, OrderState.QUEUED))
            assert _leads(ORDER_MOVES, before, OrderState(row.state)), (
                row.order_id,
                before,
                row.state,
                self.done,
            )
            self.seen[row.order_id] = row.state
        for row in self._payments():
            first = PaymentState(self.seen.get(row.payment_id, PaymentState.CREATED))
            assert _leads(MOVES, first, PaymentState(row.state)), (
                row.payment_id,
                first,
                row.state,
                self.done,
            )
            self.seen[row.payment_id] = row.state

    def _check_money(self) -> None:
        """L7, between the bank's books and ours: kept money is one paid order, or waits for a person."""
        states = {row.order_id: OrderState(row.state) for row in self._orders()}
        keeping: dict[str, int] = {}
        for row in self._payments():
            account = self.bank.accounts[row.payment_id]
            if row.state == PaymentState.SUSPENSE:
                continue
            assert row.refunded == account.refunded, (row, account, self.done)
            if account.kept:
                assert states[row.order_id] in SOLD_STATES, (row, account, self.done)
                keeping[row.order_id] = keeping.get(row.order_id, 0) + 1
        sold = {order_id for order_id, state in states.items() if state in SOLD_STATES}
        assert keeping == dict.fromkeys(sold, 1), self.done

    # ------------------------------------------------------------ small helpers

    def _foretell(self) -> dict[str, tuple[str, str | None]]:
        rows = self._orders()
        free = self.counter.stock()[0] - self._units(rows, HOLDING_STATES | SOLD_STATES)
        owned = {f"buyer{n}": 0 for n in range(BUYERS)}
        for row in rows:
            owned[row.account_id] += row.units if row.state in LIVE_STATES else 0
        known = {row.order_id for row in rows}
        waits = {one.lane_id: one for one in late_entries(self.db)}
        told: dict[str, tuple[str, str | None]] = {}
        for entry in self.counter.lane:
            if entry.order_id in told or (
                waits.get(entry.lane_id) is None if entry.late else entry.order_id in known
            ):
                continue
            units = sum(line.quantity for line in entry.lines)
            refused = (
                "over_limit"
                if owned[entry.account_id] + units > LIMIT
                else "sold_out"
                if units > free
                else None
            )
            if refused is None:
                owned[entry.account_id] += units
                free -= units
            word = (
                ("paid" if entry.late else "reserved")
                if refused is None
                else "expired"
                if entry.late
                else "rejected"
            )
            told[entry.order_id] = (word, None if entry.late else refused)
        return told

    def _tell(self, payment_id: str) -> None:
        self.news.append((f"evt-{self._event()}", payment_id, self.bank.accounts[payment_id].report()))

    def _deliver(self, event_id: str, payment_id: str, report: Report) -> None:
        facts = {
            "reference": payment_id,
            "amount": report.amount,
            "currency": report.currency,
            "refunded": report.refunded,
        }
        body = json.dumps({"type": f"payment.{report.fact}", "data": facts}).encode()
        now = datetime.now(UTC)
        headers = sign(event_id, int(now.timestamp()), body, read_secrets([SECRET]))
        receive(self.db, VAULT, self.bank, headers, body, now=now)

    def _event(self) -> str:
        self.events += 1
        return f"{self.counter.sale.slug}-{self.events}"

    def _account(self, *facts: Fact) -> str | None:
        found = [name for name, account in self.bank.accounts.items() if account.fact in facts]
        return self.dice.choice(found) if found else None

    def _some(self, *states: OrderState) -> Any:
        found = [row for row in self._orders() if row.state in states]
        return self.dice.choice(found) if found else None

    def _is_frozen(self, order: Any) -> bool:
        return any(row.order_id == order.order_id and row.state == "suspense" for row in self._payments())

    def _orders(self) -> list[Any]:
        query = (
            select(orders, order_lines.c.quantity.label("units"))
            .outerjoin(order_lines, order_lines.c.order_id == orders.c.order_id)
            .where(orders.c.sale_id == self.counter.sale.sale_id)
            .order_by(orders.c.order_id)
        )
        return list(self.db.read(lambda tx: tx.all(query)))

    def _payments(self) -> list[Any]:
        query = select(payments).where(payments.c.payment_id.in_(self.bank.accounts))
        return list(
            self.db.read(lambda tx: tx.all(query.order_by(payments.c.created_at, payments.c.payment_id)))
        )

    @staticmethod
    def _units(rows: list[Any], states: frozenset[OrderState]) -> int:
        return sum(row.units for row in rows if row.state in states)


def _leads(moves: Any, start: Any, end: Any) -> bool:
    """Whether `end` can be reached; one step of a trace may make several moves."""
    reached, edge = {start}, {start}
    while edge:
        edge = {wanted for state in edge for wanted in moves[state]} - reached
        reached |= edge
    return end in reached

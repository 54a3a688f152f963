"""L7 between processes: starting and cancelling over HTTP, news that race each other, and kill -9 on the way of late money."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import Connection, event, select, text

from firstcome import wiring
from firstcome.settings import Settings, inherited_environment
from shop.accounts.signup import create_verified_account
from shop.mail.effects import deliver_due
from shop.orders.expire import expire_due
from shop.orders.rules import OrderState
from shop.storage.database import Tx
from shop.storage.tables import accounts, lanes, orders, products
from tests.payments.gateways import Gateway, assert_problem, inbox, kill_group
from tests.payments.simulator_process import Simulator, press
from tests.running import eventually
from tests.till import ALLOTTED, BUYER, PRICE, SALE, UNITS, Till
from waiting_room.keys import SaleKeys
from workers.drain import drain
from workers.provider_health import Counted
from workers.runtime import Runtime
from workers.sweeper import free_slots, publish_sales, take_in_late

Pair = tuple[Gateway, Gateway]
PASSWORD = "a-password-for-tests"
KEYS = SaleKeys(SALE)
Hand = Callable[..., subprocess.Popen[bytes]]


# ---------------------------------------------------------------- a buyer who speaks JSON to both gateways


@dataclass
class Buyer:
    """Somebody who has signed in; `till.buyer` is their account."""

    till: Till
    token: str

    def pay(self, gateway: Gateway, order: str, key: str, **body: str) -> httpx.Response:
        """Start the payment of an order."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        return gateway.client.post(f"/api/v1/orders/{order}/payment", headers=headers, json=body)

    def cancel(self, gateway: Gateway, order: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return gateway.client.post(f"/api/v1/orders/{order}/cancel", headers=headers)


@pytest.fixture
def work(shop_settings: Settings, counter: Till) -> Iterator[Runtime]:
    """What the worker of the outbox and the sweeper work with."""
    made = wiring.runtime(shop_settings)
    yield made
    made.db.dispose()
    made.redis.close()
    made.rq_redis.close()
    for provider in made.providers.values():
        assert isinstance(provider, Counted)
        provider.close()


@pytest.fixture
def buyer(counter: Till, gateways: Pair, shop_settings: Settings, redis_sync: redis.Redis) -> Buyer:
    email = "minji@example.test"
    counter.buyer = create_verified_account(
        counter.db, wiring.account_kit(shop_settings), email, PASSWORD, "Kim Minji"
    )
    answer = gateways[0].client.post("/api/v1/sessions", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return Buyer(counter, answer.json()["access_token"])


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Do these at the same moment; what they gave back."""
    gate = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(one, calls))


# ---------------------------------------------------------------- starting and cancelling


def test_a_start_is_one_payment_whichever_gateway_is_asked(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    one, two = gateways
    order = counter.order(hold_s=20)
    first = buyer.pay(one, order, "key-a")
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    until = datetime.fromisoformat(first.json()["expires_at"])
    assert (until - datetime.now(UTC)).total_seconds() > 160, "a buyer has three minutes"

    again = buyer.pay(two, order, "key-a")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other_key = buyer.pay(two, order, "key-b")
    assert (other_key.status_code, other_key.content) == (201, first.content)
    assert "idempotent-replayed" not in other_key.headers
    assert_problem(buyer.pay(two, order, "key-a", provider="simulator"), 422, "idempotency_key_reused")

    press(first.json()["checkout_url"], "decline")
    one.tell(counter.event("failed", first.json()["payment_id"]), "evt-1")
    second = buyer.pay(two, order, "key-c")
    assert second.json()["payment_id"] != first.json()["payment_id"]
    assert second.json()["expires_at"] == first.json()["expires_at"], "the hold is lengthened once"
    counter.hear("succeeded", second.json()["payment_id"])
    body = assert_problem(buyer.pay(one, order, "key-d"), 409, "illegal_move")
    assert (body["current"], body["wanted"]) == ("paid", "paying")


def test_a_crowd_of_starts_at_both_gateways_opens_one_payment(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    order = counter.order()
    calls = [partial(buyer.pay, gateways[number % 2], order, f"key-{number}") for number in range(6)]
    answers = together(*calls)
    opened = {answer.json()["payment_id"] for answer in answers if answer.status_code == 201}
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, 409, "still_running")
            assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert len(opened) == 1
    assert counter.states(order) == ("paying", ["pending"])


def test_a_provider_that_answers_late_or_is_dead_is_waited_for_under_the_same_key(
    buyer: Buyer, counter: Till, gateways: Pair, simulator: Simulator
) -> None:
    order = counter.order()
    with simulator.frozen(), ThreadPoolExecutor(1) as threads:
        slow = threads.submit(buyer.pay, gateways[0], order, "key-a")
        eventually(lambda: counter.states(order)[1] == ["created"], "the attempt is committed")
        assert_problem(buyer.pay(gateways[1], order, "key-a"), 409, "still_running")
        assert_problem(slow.result(), 503, "provider_unavailable")
    simulator.kill()
    assert_problem(buyer.pay(gateways[1], order, "key-a"), 503, "provider_unavailable")
    assert counter.states(order) == ("paying", ["created"])
    simulator.start()
    started = buyer.pay(gateways[1], order, "key-a")
    assert started.status_code == 201, started.text
    assert counter.states(order) == ("paying", ["pending"])
    press(started.json()["checkout_url"], "approve")
    answer = gateways[0].tell(counter.event("succeeded", started.json()["payment_id"]), "evt")
    assert answer.json() == {"verdict": "paid"}
    counter.assert_money_and_stock_agree()


@pytest.mark.parametrize(
    ("choice", "ends", "late"),
    [("none", ("cancelled", ["cancelled"]), "refund_due"), ("silent", ("paid", ["succeeded"]), "repeated")],
)
def test_cancelling_a_paying_order_is_accepted_and_the_provider_has_the_word(
    buyer: Buyer, counter: Till, gateways: Pair, work: Runtime, choice: str, ends: Any, late: str
) -> None:
    one, two = gateways
    order = counter.order()
    started = buyer.pay(one, order, "key-a").json()
    if choice != "none":
        press(started["checkout_url"], choice)
    for gateway in gateways:  # asked twice, it is one wish
        asked = buyer.cancel(gateway, order)
        assert (asked.status_code, asked.json()["state"]) == (202, "paying")
    deliver_due(work.db, work.vault, {"cancel": work.effects["cancel"]})
    assert counter.states(order) == ends
    assert two.tell(counter.event("succeeded", started["payment_id"]), "evt").json() == {"verdict": late}
    assert counter.refunds() == ([started["payment_id"]] if late == "refund_due" else [])
    counter.assert_money_and_stock_agree()


# ---------------------------------------------------------------- at the same time


def test_one_event_at_two_gateways_at_once_counts_once(counter: Till, gateways: Pair) -> None:
    bodies = [counter.event("succeeded", counter.open_attempt(counter.order())) for _ in range(6)]
    for number, body in enumerate(bodies):
        answers = together(*(partial(one.tell, body, f"race-{number}") for one in gateways * 2))
        assert [answer.status_code for answer in answers] == [200] * 4
        verdicts = sorted(answer.json()["verdict"] for answer in answers)
        assert verdicts == ["paid", "repeated", "repeated", "repeated"]
    assert counter.stock() == (0, UNITS * len(bodies))
    assert len(inbox(counter.db)) == len(bodies)
    counter.assert_money_and_stock_agree()


def test_news_that_contradict_each_other_at_two_gateways_agree_on_the_money(
    counter: Till, gateways: Pair
) -> None:
    for number in range(6):
        order = counter.order()
        payment = counter.open_attempt(order)
        if number % 2:
            counter.let_hold_run_out(order)
        good, bad = (counter.event(kind, payment) for kind in ("succeeded", "failed"))
        one, two = gateways if number % 4 < 2 else gateways[::-1]
        answers = together(
            partial(one.tell, good, f"good-{payment}"),
            partial(two.tell, bad, f"bad-{payment}"),
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        assert (
            counter.states(order) in [("paid", ["succeeded"]), ("expired", ["succeeded"])][: 1 + number % 2]
        )
    counter.assert_money_and_stock_agree()


def test_a_callback_and_the_sweep_at_once_pay_the_order_once(
    buyer: Buyer, counter: Till, gateways: Pair, work: Runtime
) -> None:
    for number in range(4):
        order = counter.order()
        started = buyer.pay(gateways[0], order, f"key-{number}").json()
        press(started["checkout_url"], "silent")
        counter.let_hold_run_out(order)
        body = counter.event("succeeded", started["payment_id"])
        swept, answer = together(
            partial(expire_due, work.db, work.vault, work.providers),
            partial(gateways[number % 2].tell, body, f"race-{number}"),
        )
        assert (len(swept.ended), answer.json()["verdict"]) in [(1, "repeated"), (0, "paid")]
        assert counter.states(order) == ("paid", ["succeeded"])
    counter.assert_money_and_stock_agree()


def test_a_callback_and_a_cancel_at_once_give_the_goods_or_the_money(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    for number in range(6):
        order = counter.order()
        payment = counter.open_attempt(order)
        counter.hear("failed", payment)
        body = counter.event("succeeded", payment)
        told, asked = together(
            partial(gateways[number % 2].tell, body, f"race-{number}"),
            partial(buyer.cancel, gateways[1 - number % 2], order),
        )
        ends = (told.json()["verdict"], asked.status_code, counter.states(order))
        assert ends in [
            ("paid", 409, ("paid", ["succeeded"])),
            ("refund_due", 200, ("cancelled", ["refund_pending"])),
        ]
    counter.assert_money_and_stock_agree()


def test_a_callback_and_a_second_attempt_at_once_keep_one_payment(
    buyer: Buyer, counter: Till, gateways: Pair
) -> None:
    for number in range(4):
        order = counter.order()
        first = counter.open_attempt(order)
        counter.hear("failed", first)
        body = counter.event("succeeded", first)
        told, started = together(
            partial(gateways[number % 2].tell, body, f"race-{number}"),
            partial(buyer.pay, gateways[1 - number % 2], order, f"key-{number}"),
        )
        assert told.json() == {"verdict": "paid"}
        assert counter.order_row(order).state == "paid"
        if started.status_code == 201:
            second = started.json()["payment_id"]
            answer = gateways[0].tell(counter.event("succeeded", second), f"second-{number}")
            assert answer.json() == {"verdict": "refund_due"}
            assert counter.refunds()[-1] == second
        else:
            assert_problem(started, 409, "illegal_move")
    counter.assert_money_and_stock_agree()


def test_parts_given_back_at_once_never_count_backwards(counter: Till, gateways: Pair) -> None:
    """The payment's state stays the same, so that only the order's lock keeps the older news from overwriting the newer."""
    payment = counter.open_attempt(counter.order())
    counter.hear("succeeded", payment)
    counter.hear("refunded", payment, refunded=1_000)
    older = counter.event("refunded", payment, refunded=2_000)
    with ThreadPoolExecutor(1) as threads:
        told: list[Future[httpx.Response]] = []

        def tell_the_older(_connection: Connection) -> None:
            told.append(threads.submit(gateways[0].tell, older, "older"))
            eventually(partial(a_lock_is_waited_for, counter), "the older news waits for the newer")

        event.listen(counter.db.engine, "commit", tell_the_older, once=True)
        assert counter.hear("refunded", payment, refunded=3_000) == "partially_refunded"
        assert told[0].result().json() == {"verdict": "repeated"}
    assert counter.payment(payment).refunded == 3_000


def a_lock_is_waited_for(till: Till) -> bool:
    """Whether a transaction waits for a row that another one has locked."""
    waiting = text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
    return till.db.read(lambda tx: tx.one(waiting))[1] != "0"


# ---------------------------------------------------------------- kill -9 on the way of late money


@pytest.fixture
def lane(counter: Till, redis_sync: redis.Redis, work: Runtime) -> redis.Redis:
    """The open lane of the sale."""
    account = {"account_id": BUYER, "created_at": datetime.now(UTC)}
    product = {"product_id": "moonjar", "title": "Moon jar", "description": "", "price": PRICE}
    product |= {"currency": "KRW", "on_hand": 0, "created_at": datetime.now(UTC)}
    rows = ((accounts, account), (products, product), (lanes, {"sale_id": SALE, "seq": 0}))

    def lay(tx: Tx) -> None:
        for table, row in rows:
            tx.insert(table, [row])

    counter.db.run(lay)
    publish_sales(work)
    return redis_sync


@pytest.fixture
def hand(shop_settings: Settings, servers_dir: Path) -> Iterator[Hand]:
    """Starts one duty of a worker or sweeper in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> subprocess.Popen[bytes]:
        environment = {**inherited_environment(), **shop_settings.as_environment()}
        with (servers_dir / "hand.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.payments.hand", *words],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            kill_group(process)


@contextmanager
def no_writes(store: redis.Redis) -> Iterator[Callable[[], bool]]:
    """Redis takes reads, and lets every write wait; yields whether one waits."""
    store.client_pause(30_000, all=False)

    def waits() -> bool:
        return any("b" in client["flags"] and client["cmd"] == "evalsha" for client in store.client_list())

    try:
        yield waits
    finally:
        store.client_unpause()


class Killing:
    """Late money on its way from the gateway's door to its decision, each step by a process that can be killed in the middle."""

    def __init__(self, till: Till, work: Runtime, lane: redis.Redis, hand: Hand) -> None:
        self.till, self.work, self.lane, self.hand = till, work, lane, hand
        self.order = till.order()
        self.payment = till.open_attempt(self.order)
        till.hear("failed", self.payment)
        till.end(self.order, OrderState.EXPIRED)
        self.body = till.event("succeeded", self.payment)

    def at_the_gateway(self, one: Gateway) -> None:
        """Killed right after the commit, before anything could be told to Redis."""
        with no_writes(self.lane), ThreadPoolExecutor(1) as threads:
            telling = threads.submit(_tell_whoever_dies, one, self.body)
            eventually(lambda: self.till.payment(self.payment).state == "succeeded", "the money is committed")
            one.kill()
            telling.result()
        one.start()

    def at_the_sweeper(self, moment: str) -> None:
        """Killed before or after the lane has got the money's entry."""
        if moment == "before":
            with no_writes(self.lane) as write_waits:
                sweeper = self.hand("take-in-late")
                eventually(write_waits, "the sweeper is about to append")
                kill_group(sweeper)
            assert self.lane.llen(KEYS.lane) == 0
        else:
            sweeper = self.hand("take-in-late")
            eventually(lambda: self.lane.llen(KEYS.lane) == 1, "the sweeper has appended")
            kill_group(sweeper)

    def at_the_drain(self, moment: str) -> None:
        """Killed inside its transaction, or after its commit and before it could take the entry off the lane."""
        mine = select(orders.c.order_id).where(orders.c.order_id == self.order).with_for_update()
        with self.till.db.engine.connect() as holder:
            holder.execute(mine)
            drainer = self.hand("drain", SALE)
            eventually(self._lock_is_waited_for, "the drain waits for the order that it decides")
            if moment == "before":
                kill_group(drainer)
                holder.rollback()
                return
            with no_writes(self.lane):
                holder.rollback()
                eventually(self.decided, "the decision is committed")
                kill_group(drainer)
        assert self.lane.llen(KEYS.lane) == 1

    def decided(self) -> bool:
        order, (payment,) = self.till.states(self.order)
        return (order, payment) != ("expired", "succeeded")

    def drain(self) -> bool:
        """A whole visit to the lane; whether it is empty then. The server may take a while to see that a drainer is dead."""
        drain(self.work, SALE)
        return self.lane.llen(KEYS.lane) == 0

    def _lock_is_waited_for(self) -> bool:
        running = (
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE "
        )
        asked = text(running + "'SELECT%FROM orders%FOR UPDATE'")
        return bool(self.till.db.read(lambda tx: tx.scalar(asked)))


@pytest.mark.parametrize(
    ("killed", "moment", "units"),
    [
        ("gateway", "after", "free"),
        ("sweeper", "before", "free"),
        ("sweeper", "after", "gone"),
        ("drain", "before", "free"),
        ("drain", "before", "gone"),
        ("drain", "after", "free"),
        ("drain", "after", "gone"),
    ],
)
def test_late_money_is_paid_or_given_back_once_whoever_is_killed(
    counter: Till,
    gateways: Pair,
    work: Runtime,
    lane: redis.Redis,
    hand: Hand,
    killed: str,
    moment: str,
    units: str,
) -> None:
    one, two = gateways
    late = Killing(counter, work, lane, hand)
    others = ALLOTTED if units == "gone" else 0
    if others:
        counter.buyer = "somebody-else"
        counter.order(quantity=others)

    if killed == "gateway":
        late.at_the_gateway(one)
    told = two.tell(late.body, "evt")
    assert told.json()["verdict"] == ("repeated" if killed == "gateway" else "late")
    if killed == "sweeper":
        late.at_the_sweeper(moment)
    take_in_late(work)
    assert lane.llen(KEYS.lane) == 1, "it stands in the lane once"
    if killed == "drain":
        late.at_the_drain(moment)
        assert late.decided() is (moment == "after")
    eventually(late.drain, "the lane is empty")
    take_in_late(work)

    if units == "free":
        assert counter.states(late.order) == ("paid", ["succeeded"])
        assert (counter.refunds(), counter.stock()) == ([], (0, UNITS))
    else:
        assert counter.states(late.order) == ("expired", ["refund_pending"])
        assert (counter.refunds(), counter.stock()) == ([late.payment], (others, 0))
    assert lane.llen(KEYS.lane) == 0
    assert one.tell(late.body, "evt").json() == {"verdict": "repeated"}
    counter.assert_money_and_stock_agree()


def test_what_a_killed_gateway_was_about_to_tell_is_told_by_the_sweeper(
    counter: Till, gateways: Pair, work: Runtime, lane: redis.Redis
) -> None:
    one, _ = gateways
    order = counter.order()
    payment = counter.open_attempt(order)
    publish_sales(work)
    lane.hset(KEYS.served, "its-ticket", f'{{"jti": "{order}.1"}}')  # the room knows of its slot
    lane.hset(KEYS.passes, f"{order}.1", order)
    lane.zadd(KEYS.ordering, {"its-ticket": 1})
    before = lane.hgetall(KEYS.stock)
    with no_writes(lane):
        assert one.tell(counter.event("succeeded", payment), "evt").json() == {"verdict": "paid"}
        one.kill()
        # A write that waits already would be carried out though its sender is dead.
        for client in lane.client_list():
            if "b" in client["flags"]:
                lane.client_kill_filter(_id=client["id"])
    one.start()
    assert (lane.hgetall(KEYS.stock), lane.llen(KEYS.outcomes)) == (before, 0), "nobody was told"

    publish_sales(work)
    free_slots(work)

    held_and_sold = str(lane.hget(KEYS.stock, "item:moonjar")).split(":")[1:3]
    assert held_and_sold == ["0", str(UNITS)]
    assert lane.lrange(KEYS.outcomes, 0, -1) == [f"{order}.1 paid"]


def _tell_whoever_dies(gateway: Gateway, body: bytes) -> None:
    """A delivery to a gateway that may die before it has answered."""
    try:
        gateway.tell(body, "evt")
    except httpx.TransportError:
        return

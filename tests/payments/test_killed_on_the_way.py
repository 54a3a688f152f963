"""L7 when a process is killed -9 on the way of money: what it was about to write or to tell is written and told by the next one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy import select, text

from firstcome.settings import Settings, inherited_environment
from shop.orders.rules import OrderState
from shop.storage.database import Tx
from shop.storage.tables import accounts, lanes, orders, products
from tests.payments.gateways import Gateway, kill_group
from tests.running import eventually
from tests.till import ALLOTTED, BUYER, PRICE, SALE, UNITS, Till
from waiting_room.keys import SaleKeys
from workers.drain import drain
from workers.runtime import Runtime
from workers.sweeper import free_slots, publish_sales, take_in_late

Pair = tuple[Gateway, Gateway]
KEYS = SaleKeys(SALE)
Hand = Callable[..., subprocess.Popen[bytes]]


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

"""L4: at every instant, for every product of a sale, held + sold <= allotted; by the code and by the database itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import Executable, select, update
from sqlalchemy.exc import DBAPIError

from shop.errors import LaneTaken
from shop.orders.cancel import cancel_order
from shop.orders.decide import drain_once
from shop.orders.entry import EntryLine
from shop.orders.expire import expire_due
from shop.sales.acting import act
from shop.sales.rules import Action
from shop.stock.moves import Movement, StockMoved, move_stock
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from shop.storage.faults import is_check_violation
from shop.storage.tables import orders, products, sale_items
from tests.counter import VAULT, Counter, View

UNITS = 30
ORDERS = 200


@pytest.fixture
def counter(db: Database) -> Counter:
    return Counter(db).open({"seat": (UNITS, 3, 1000), "desk": (UNITS // 2, 3, 500)}, buyers=ORDERS)


def keep_draining(counter: Counter, database_url: str) -> None:
    """A worker with a lane of its own view: it drains until nothing is left, beside others."""
    db, lane = Database(database_url), View(counter.lane)
    while lane.entries:
        try:
            result = drain_once(db, counter.sale.sale_id, lane.head, batch_max=10, vault=VAULT)
        except LaneTaken:
            continue
        lane.take_off(result)
    db.dispose()


def keep_looking(db: Database, over: Event) -> int:
    """Look at the counters all the time; how often."""
    looks = 0
    while not over.is_set():
        for item in db.read(lambda tx: tx.all(select(sale_items))):
            assert item.held >= 0
            assert item.sold >= 0
            assert item.held + item.sold <= item.allotted, item
        looks += 1
    return looks


def keep_giving_back(counter: Counter, over: Event, seed: int) -> int:
    """Buyers pay or cancel and holds run out, at random, while others order; how often."""
    times = 0
    dice = random.Random(seed)
    reserved = select(orders.c.order_id).where(orders.c.state == "reserved")
    while not over.is_set():
        held = counter.db.read(lambda tx: tx.scalars(reserved))
        if not held:
            continue
        order = dice.choice(held)
        match dice.randrange(3):
            case 0:
                counter.pay(order)
            case 1:
                cancel_order(counter.db, VAULT, counter.row(order).account_id, order)
            case _:
                counter.let_hold_run_out(order)
                expire_due(counter.db, VAULT, {})
        times += 1
    return times


def test_workers_that_race_for_the_last_units_while_others_pay_cancel_and_expire_never_oversell(
    counter: Counter, database_url: str
) -> None:
    dice = random.Random(3)
    for buyer in range(ORDERS):
        lines = [EntryLine(product_id="seat", quantity=dice.randint(1, 3))]
        if dice.random() < 0.5:
            lines.append(EntryLine(product_id="desk", quantity=dice.randint(1, 2)))
        counter.order(buyer, lines=lines)
    over = Event()
    with ThreadPoolExecutor(8) as threads:
        looks = threads.submit(keep_looking, counter.db, over)
        others = threads.submit(keep_giving_back, counter, over, 4)
        try:
            for worker in [threads.submit(keep_draining, counter, database_url) for _ in range(3)]:
                worker.result(timeout=30)
        finally:
            over.set()
        assert others.result(timeout=10) > 0
        assert looks.result(timeout=10) > 0
    assert len(counter.decided()) == ORDERS
    assert reconcile(counter.db) == []


def test_stock_that_an_operator_takes_away_while_a_batch_is_decided_is_not_sold(counter: Counter) -> None:
    for buyer in range(5):
        counter.order(buyer)
    with ThreadPoolExecutor(1) as threads:
        cancelled = threads.submit(act, counter.db, "op", counter.sale.sale_id, Action.CANCEL)
        drain_once(counter.db, counter.sale.sale_id, counter.head, vault=VAULT)
        cancelled.result(timeout=10)
    allotted, held, sold = counter.stock()
    assert held + sold <= allotted
    assert reconcile(counter.db) == []


def test_a_movement_beyond_the_free_units_is_refused_and_leaves_no_trace(counter: Counter) -> None:
    item = counter.sale.items[0].sale_item_id
    for movement in (
        Movement(item, "test", held=UNITS + 1),
        Movement(item, "test", held=UNITS, sold=1),
        Movement(item, "test", held=-1),
        Movement(item, "test", sold=-1),
        Movement(item, "test", allotted=-UNITS - 1),
    ):
        with pytest.raises(StockMoved):
            counter.db.run_once(lambda tx, wanted=movement: move_stock(tx, [wanted], actor="test"))
    assert counter.stock() == (UNITS, 0, 0)
    assert reconcile(counter.db) == []


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda: update(sale_items).values(held=sale_items.c.allotted, sold=1),
        lambda: update(sale_items).values(sold=sale_items.c.allotted + 1),
        lambda: update(sale_items).values(allotted=-1),
        lambda: update(sale_items).values(held=-1),
        lambda: update(sale_items).values(held=5, sold=-5),
        lambda: update(products).values(on_hand=-1),
    ],
    ids=["held and sold", "sold", "allotted", "held below 0", "sold below 0", "on hand below 0"],
)
def test_the_database_itself_refuses_figures_that_break_the_law(
    counter: Counter, forbidden: Callable[[], Executable]
) -> None:
    with pytest.raises(DBAPIError) as refused:
        counter.db.run(lambda tx: tx.execute(forbidden()) and None)
    assert is_check_violation(refused.value)
    assert counter.stock() == (UNITS, 0, 0)

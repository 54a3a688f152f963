"""L5: orders of one sale are decided one by one in the order in which they were accepted, whatever workers crash or race."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shop.orders.decide import drain_once
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from tests.counter import VAULT, Counter, View

ORDERS = 240
UNITS = 200
BATCH = 20


@pytest.fixture
def counter(db: Database) -> Counter:
    made = Counter(db).open({"seat": (UNITS, 2, 1000)}, buyers=ORDERS)
    for buyer in range(ORDERS):
        made.order(buyer)
    return made


def drainer(url: str, sale_id: str, lane: Path, *, dies_after: int = 0) -> subprocess.Popen[bytes]:
    words = [url, sale_id, str(lane), str(BATCH), str(dies_after)]
    return subprocess.Popen([sys.executable, "-m", "tests.promises.drainer", *words])


def assert_decided_in_the_order_of_the_lane(counter: Counter, orders: list[str]) -> None:
    assert counter.decided() == list(enumerate(orders, 1))
    states = [counter.state(order) for order in orders]
    assert states == [("reserved", None)] * UNITS + [("rejected", "sold_out")] * (ORDERS - UNITS)
    assert counter.stock() == (UNITS, UNITS, 0)
    assert reconcile(counter.db) == []


def test_two_workers_one_killed_in_the_middle_of_a_transaction_decide_the_lane_in_its_order(
    counter: Counter, database_url: str, tmp_path: Path
) -> None:
    orders = [entry.order_id for entry in counter.lane]
    lane = tmp_path / "lane.json"
    lane.write_bytes(msgspec.json.encode(counter.lane))
    dice = random.Random(5)
    for _ in range(2):
        mortal = [
            drainer(database_url, counter.sale.sale_id, lane, dies_after=dice.randrange(1, 3 * BATCH))
            for _ in range(2)
        ]
        assert [process.wait(timeout=20) for process in mortal] == [-9, -9]
    decided = len(counter.decided())
    assert decided < ORDERS
    assert decided % BATCH == 0  # a batch is there whole or not at all

    survivors = [drainer(database_url, counter.sale.sale_id, lane) for _ in range(2)]
    assert [process.wait(timeout=20) for process in survivors] == [0, 0]
    assert_decided_in_the_order_of_the_lane(counter, orders)


def test_a_commit_whose_answer_was_lost_gives_no_second_decision(counter: Counter) -> None:
    orders = [entry.order_id for entry in counter.lane]
    lane = View(counter.lane)
    dice = random.Random(7)
    while lane.entries:
        result = drain_once(counter.db, counter.sale.sale_id, lane.head, batch_max=BATCH, vault=VAULT)
        if dice.random() < 0.5:  # the worker lives to take off what is decided
            lane.take_off(result)
    assert_decided_in_the_order_of_the_lane(counter, orders)


def test_the_order_of_decisions_is_the_order_of_the_lane_and_not_of_ids_or_numbers(counter: Counter) -> None:
    random.Random(9).shuffle(counter.lane)
    orders = [entry.order_id for entry in counter.lane]
    counter.drain_all(batch_max=7)
    assert_decided_in_the_order_of_the_lane(counter, orders)

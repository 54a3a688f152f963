"""Operators move stock and lengthen holds while orders are decided: nothing is oversold, and the books add up at every turn."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from shop.errors import InvalidFields
from shop.orders import holds
from shop.sales.acting import act
from shop.sales.audit import list_audit
from shop.sales.reading import sale_by_id
from shop.sales.rules import Action
from shop.sales.stocking import adjust_on_hand, list_shelves, set_allotment
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from tests.counter import ON_HAND, Counter

WHY = {"minutes": 10, "reason": "the provider is down"}


@pytest.fixture
def counter(db: Database) -> Counter:
    return Counter(db).open({"seat": (6, 1, 1000), "gift": (3, 1, 0)})


def test_units_can_be_taken_back_down_to_what_is_held_and_sold(counter: Counter) -> None:
    for buyer in range(4):
        counter.order(buyer)
    counter.drain_all()
    counter.pay("order-00001")
    sale = set_allotment(counter.db, "op", counter.sale.sale_id, "seat", 4, "enough")
    assert (counter.stock("seat"), counter.on_hand("seat")) == ((4, 3, 1), ON_HAND - 4)
    assert sale.version == counter.sale.version + 1
    with pytest.raises(InvalidFields):
        set_allotment(counter.db, "op", sale.sale_id, "seat", 3, "too few")
    with pytest.raises(InvalidFields):
        set_allotment(counter.db, "op", sale.sale_id, "seat", ON_HAND + 1, "too many")
    assert (counter.stock("seat"), counter.on_hand("seat")) == ((4, 3, 1), ON_HAND - 4)
    assert [row.action for row in list_audit(counter.db)][:1] == ["set-allotment"]
    assert counter.db.read(sale_by_id, sale.sale_id).version == sale.version
    assert reconcile(counter.db) == []


def test_taking_units_back_races_with_those_who_order_them(counter: Counter) -> None:
    sale_id = counter.sale.sale_id
    for buyer in range(12):
        counter.order(buyer)

    def give_and_take() -> None:
        for allotted in (12, 5, 8, 4, 9, 6):
            with suppress(InvalidFields):  # more were held by then
                set_allotment(counter.db, "op", sale_id, "seat", allotted, "to and fro")

    thread = threading.Thread(target=give_and_take)
    thread.start()
    while counter.lane:
        counter.drain(batch_max=1)
    thread.join()
    allotted, held, sold = counter.stock("seat")
    assert held + sold <= allotted
    assert counter.on_hand("seat") == ON_HAND - allotted
    assert reconcile(counter.db) == []


def test_the_shelf_never_holds_fewer_than_nothing(counter: Counter) -> None:
    left = counter.on_hand("gift")
    with pytest.raises(InvalidFields):
        adjust_on_hand(counter.db, "op", "gift", -left - 1, "a slip")
    assert adjust_on_hand(counter.db, "op", "gift", -left, "all broken").on_hand == 0
    assert {shelf.product_id: shelf.on_hand for shelf in list_shelves(counter.db)}["gift"] == 0
    assert reconcile(counter.db) == []


def test_all_live_holds_end_later_and_ended_orders_stay_as_they_are(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "AT_ONCE", 2)
    names = [counter.order(buyer) for buyer in range(6)]
    counter.drain_all()
    counter.pay(names[0])
    counter.start_paying(names[1])
    counter.let_hold_run_out(names[2])
    before = [counter.row(name).hold_expires_at for name in names]
    act(counter.db, "op", counter.sale.sale_id, Action.EXTEND_HOLDS, WHY)
    noted = list_audit(counter.db)[0]
    after = [counter.row(name).hold_expires_at for name in names]
    ten = timedelta(minutes=10)
    assert after[0] == before[0], "what is paid holds nothing"
    assert after[2] == noted.at + ten, "what had run out has its time from now on"
    assert after[1] - before[1] == ten, "a buyer at the payment page holds as well"
    assert [b - a for a, b in zip(before[3:], after[3:], strict=True)] == [ten] * 3
    assert (noted.action, noted.detail["holds"]) == ("extend-holds", 5)

"""Deciding a lane: each order once, in its turn, and one that cannot be decided does not hold up the others."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread

import pytest
from sqlalchemy import func, select, update

from shop.accounts.addresses import insert_address
from shop.accounts.me import erase_me
from shop.accounts.rules import Address, OrdersOpen
from shop.errors import LaneTaken, Unavailable
from shop.orders.batch import decide_batch
from shop.orders.cancel import cancel_order
from shop.orders.decide import drain_once
from shop.orders.entry import EntryLine, OrderEntry
from shop.stock.reconcile import reconcile
from shop.storage.database import Contended, Database, Tx
from shop.storage.locks import run_in_lane
from shop.storage.tables import accounts, lane_attempts, order_lines, outbox, sale_items
from tests.counter import VAULT, Counter

POISON = 2**62  # a price of which two do not fit into a BIGINT


@pytest.fixture
def counter(db: Database) -> Counter:
    return Counter(db).open({"seat": (5, 2, 1000), "gift": (3, 1, 0)})


def test_orders_are_held_or_rejected_in_their_order_and_their_words_are_told(counter: Counter) -> None:
    made = [
        counter.order(0, 2),
        counter.order(1, 3),
        counter.order(2, 2),
        counter.order(3, 2),
        counter.order(4),
    ]
    result = counter.drain()
    assert [(one.order_id, one.seq, one.state, one.reason) for one in result.decisions] == [
        (made[0], 1, "reserved", None),
        (made[1], 2, "rejected", "over_limit"),
        (made[2], 3, "reserved", None),
        (made[3], 4, "rejected", "sold_out"),
        (made[4], 5, "reserved", None),
    ]
    assert counter.stock() == (5, 5, 0)
    assert counter.row(made[0]).total == 2000
    assert reconcile(counter.db) == []


def test_an_order_without_a_price_is_paid_at_once(counter: Counter) -> None:
    order = counter.order(0, product="gift")
    counter.drain()
    assert counter.state(order) == ("paid", None)
    assert counter.stock("gift") == (3, 0, 1)
    assert reconcile(counter.db) == []


def test_what_a_buyer_has_in_live_orders_counts_against_the_limit_and_what_ended_does_not(
    counter: Counter,
) -> None:
    first = counter.order(0, 2)
    counter.drain()
    second = counter.order(0, 1)
    counter.drain()
    cancel_order(counter.db, VAULT, "buyer0", first)
    third = counter.order(0, 1)
    counter.drain()
    assert [counter.state(order) for order in (first, second, third)] == [
        ("cancelled", None),
        ("rejected", "over_limit"),
        ("reserved", None),
    ]


def test_one_pass_buys_once_and_a_rejected_order_gives_it_back(counter: Counter) -> None:
    same = {"pass_jti": "t.1"}
    orders = [counter.order(0, 3, **same), counter.order(0, **same), counter.order(0, **same)]
    result = counter.drain()
    later = counter.order(0, **same)
    counter.drain()
    assert [counter.state(order)[1] for order in (*orders, later)] == [
        "over_limit",
        None,
        "pass_used",
        "pass_used",
    ]
    # The pass of the third order belongs to the second one, so the room is told nothing about it.
    assert [one.ended("s") is not None for one in result.decisions] == [True, False, False]


def test_closed_accounts_foreign_addresses_and_unknown_products_are_rejected_with_the_reason(
    counter: Counter,
) -> None:
    gone = accounts.c.account_id == "buyer1"
    counter.db.run(lambda tx: tx.execute(update(accounts).where(gone).values(erased_at=tx.now)) and None)
    lines = [EntryLine(product_id="seat", quantity=1), EntryLine(product_id="sofa", quantity=1)]
    orders = [
        counter.order(1),
        counter.order(99),
        counter.order(2, address_id="x"),
        counter.order(3, lines=lines),
    ]
    counter.drain()
    assert [counter.state(order)[1] for order in orders] == [
        *("account_closed", "account_closed"),
        *("bad_address", "not_on_sale"),
    ]
    assert counter.stock() == (5, 0, 0)


def test_an_account_erased_while_its_order_is_decided_leaves_no_address_behind(counter: Counter) -> None:
    home = Address(
        recipient="김민지", line1="종로 1", line2="", city="서울", postcode="03154", country="KR", phone=""
    )
    refused: list[OrdersOpen] = []

    def erase() -> None:
        try:
            erase_me(counter.db, "buyer0")
        except OrdersOpen as still_open:
            refused.append(still_open)

    class Vault(type(VAULT)):  # type: ignore[misc]
        """The buyer presses "erase" when the batch has read the account and begins to copy the address."""

        erasing = Thread(target=erase)

        def open(self, sealed: bytes, context: str) -> str:
            self.erasing.start()
            self.erasing.join(timeout=0.5)
            return str(super().open(sealed, context))

    address_id = counter.db.run(insert_address, VAULT, "buyer0", home)
    order = counter.order(0, address_id=address_id)
    vault = Vault("k1", {"k1": bytes(32)})
    drain_once(counter.db, counter.sale.sale_id, counter.head, vault=vault)
    vault.erasing.join()
    erased = counter.db.read(
        lambda tx: tx.scalar(select(accounts.c.erased_at).where(accounts.c.account_id == "buyer0"))
    )
    assert (erased is None) == (counter.state(order)[0] == "reserved"), "held by nobody"
    assert (erased is None) == bool(refused)
    assert erased is None or counter.row(order).address_sealed is None


def test_entries_that_were_decided_are_passed_over_and_told_again(counter: Counter) -> None:
    made = [counter.order(buyer) for buyer in range(3)]
    lane = list(counter.lane)
    counter.drain()
    counter.lane = lane  # the worker died before it took them off
    made.append(counter.order(3))
    result = counter.drain()
    assert sorted(one.order_id for one in result.passed_over) == made[:3]
    assert [one.order_id for one in result.decisions] == made[3:]
    assert counter.decided() == [(seq, order) for seq, order in enumerate(made, 1)]


def test_the_same_entry_twice_in_the_lane_is_decided_once(counter: Counter) -> None:
    order = counter.order(0)
    counter.lane.append(counter.lane[0])
    counter.drain()
    assert counter.lane == []
    assert counter.decided() == [(1, order)]


def test_an_entry_that_stands_twice_in_the_lane_keeps_its_first_place(counter: Counter) -> None:
    first, second = counter.order(0), counter.order(1)
    counter.lane.append(counter.lane[0])
    counter.drain()
    assert counter.decided() == [(1, first), (2, second)]


def test_an_order_cancelled_while_queued_is_passed_over_and_takes_no_seq(counter: Counter) -> None:
    first, second = counter.order(0), counter.order(1)
    cancelled = cancel_order(counter.db, VAULT, "buyer0", first, counter.lane[0])
    assert [(end.order_id, end.outcome) for end in cancelled.ended] == [(first, "ended")]
    result = counter.drain()
    assert [one.order_id for one in result.passed_over] == [first]
    assert counter.state(first) == ("cancelled", None)
    assert counter.decided() == [(1, second)]
    assert reconcile(counter.db) == []


def test_a_buyer_who_cancels_after_the_batch_was_read_is_respected(counter: Counter) -> None:
    first, second = counter.order(0), counter.order(1)
    entry = counter.lane[0]

    def head(count: int) -> Sequence[OrderEntry]:
        """The batch has the lane; a row that is committed from here on is a duplicate for it, or was waited for (SQLite)."""
        return counter.lane[:count]

    cancel = Thread(target=cancel_order, args=(counter.db, VAULT, "buyer0", first, entry))
    cancel.start()
    drain_once(counter.db, counter.sale.sale_id, head, vault=VAULT)
    cancel.join()
    assert counter.state(first) == ("cancelled", None)
    assert second in [order for _, order in counter.decided()]
    assert reconcile(counter.db) == []


def test_a_lane_that_somebody_holds_is_left_alone_at_once(counter: Counter, database_url: str) -> None:
    counter.order(0)
    other = Database(database_url, lock_wait_s=1)
    read = []

    def head(count: int) -> Sequence[OrderEntry]:
        read.append(count)
        return counter.lane[:count]

    def meanwhile(_tx: Tx, _seq: int | None) -> None:
        with pytest.raises(LaneTaken):
            drain_once(other, counter.sale.sale_id, head)

    run_in_lane(counter.db, counter.sale.sale_id, meanwhile)
    other.dispose()
    assert read == []  # the head is read only by whoever holds the lane
    assert counter.decided() == []


def test_whoever_reckons_from_another_number_of_the_lane_decides_nothing(counter: Counter) -> None:
    """The cursor holds where the lock on it should ever fail."""
    counter.order(0)
    counter.drain()
    counter.order(1)
    with pytest.raises(Contended):
        counter.db.run_once(decide_batch, counter.sale.sale_id, 7, counter.lane, 60_000.0, VAULT)
    assert counter.decided() == [(1, "order-00001")]
    assert counter.stock() == (5, 1, 0)


def test_an_order_that_cannot_be_decided_is_rejected_in_its_turn_after_three_attempts(
    counter: Counter,
) -> None:
    price_of_gifts = sale_items.c.product_id == "gift"
    counter.db.run(
        lambda tx: (
            tx.execute(update(sale_items).where(price_of_gifts).values(price=POISON, limit_per_buyer=2))
            and None
        )
    )
    before, poison, after = counter.order(0), counter.order(1, 2, "gift"), counter.order(2)
    counter.drain_all()
    assert [counter.state(order) for order in (before, poison, after)] == [
        ("reserved", None),
        ("rejected", "failed"),
        ("reserved", None),
    ]
    assert counter.decided() == [(1, before), (2, poison), (3, after)]
    assert counter.db.read(lambda tx: tx.scalar(select(func.count()).select_from(lane_attempts))) == 0
    assert (
        counter.db.read(lambda tx: tx.scalar(select(func.count()).where(order_lines.c.order_id == poison)))
        == 0
    )
    assert reconcile(counter.db) == []


def test_attempts_that_ended_in_a_crash_count_and_a_database_that_is_away_does_not(counter: Counter) -> None:
    class PowerCut(BaseException):
        pass

    class Vault(type(VAULT)):  # type: ignore[misc]
        """Seals no letter: the process dies, or the database goes away, in the middle of the transaction."""

        fault: BaseException = PowerCut()

        def seal_all(self, _fields: Sequence[tuple[str, str]]) -> list[bytes]:
            raise self.fault

    vault = Vault("k1", {"k1": bytes(32)})
    order = counter.order(0)
    attempts = select(lane_attempts.c.attempts).where(lane_attempts.c.order_id == order)

    def visit() -> int:
        with pytest.raises(type(vault.fault)):
            drain_once(counter.db, counter.sale.sale_id, counter.head, vault=vault, careful=True)
        return counter.db.read(lambda tx: tx.scalar(attempts)) or 0

    assert [visit(), visit()] == [1, 2]
    vault.fault = Unavailable("the database went away")
    assert [visit(), visit(), visit()] == [2, 2, 2]
    vault.fault = PowerCut()
    assert visit() == 3
    drain_once(counter.db, counter.sale.sale_id, counter.head, vault=vault, careful=True)
    assert counter.state(order) == ("rejected", "failed")


def test_care_after_a_death_costs_a_lane_a_handful_of_looks(counter: Counter) -> None:
    looks = 0

    def head(count: int) -> Sequence[OrderEntry]:
        nonlocal looks
        looks += 1
        return counter.head(count)

    for order in range(200):
        counter.order(order % 5)
    result = drain_once(counter.db, counter.sale.sale_id, head, careful=True)
    assert [one.seq for one in result.decisions] == list(range(1, 201))
    assert looks < 20, "not one or two for each order"


def test_only_an_order_that_is_alone_is_blamed_for_the_death_of_a_drain(counter: Counter) -> None:
    class PowerCut(BaseException):
        pass

    made = [counter.order(buyer % 5) for buyer in range(12)]
    deadly = made[6]

    class Vault(type(VAULT)):  # type: ignore[misc]
        """The process dies whenever it comes to one of the letters."""

        def seal_all(self, fields: Sequence[tuple[str, str]]) -> list[bytes]:
            if any(deadly in context for _, context in fields):
                raise PowerCut
            return list(super().seal_all(fields))

    vault, deaths, done = Vault("k1", {"k1": bytes(32)}), 0, 0
    while done < len(made):
        try:
            drain_once(counter.db, counter.sale.sale_id, counter.head, vault=vault, careful=True)
        except PowerCut:
            deaths += 1
            assert deaths < 10
        done = len(counter.decided())
    assert counter.decided() == list(enumerate(made, 1))
    failed = [order for order in made if counter.state(order)[1] == "failed"]
    assert failed == [deadly]
    assert counter.db.read(lambda tx: tx.scalar(select(func.count()).select_from(lane_attempts))) == 0
    assert reconcile(counter.db) == []


def test_a_failing_lane_store_blames_no_order(counter: Counter) -> None:
    counter.order(0)

    def head(_count: int) -> Sequence[OrderEntry]:
        raise ValueError("the store answered nonsense")

    with pytest.raises(ValueError, match="nonsense"):
        drain_once(counter.db, counter.sale.sale_id, head)
    assert counter.db.read(lambda tx: tx.scalar(select(func.count()).select_from(lane_attempts))) == 0


def test_a_batch_is_as_small_as_asked(counter: Counter) -> None:
    for buyer in range(5):
        counter.order(buyer)
    assert len(counter.drain(batch_max=2).decisions) == 2
    assert len(counter.drain(batch_ms=0).decisions) == 1
    assert len(counter.drain().decisions) == 2


def test_every_decision_puts_one_letter_into_the_outbox(counter: Counter) -> None:
    orders = [counter.order(0, 2), counter.order(1, 9), counter.order(2, product="gift")]
    counter.drain()
    letters = counter.db.read(lambda tx: tx.scalars(select(outbox.c.dedupe).order_by(outbox.c.outbox_id)))
    assert list(letters) == [
        f"mail:{order}:{state}" for order, state in zip(orders, ("reserved", "rejected", "paid"), strict=True)
    ]

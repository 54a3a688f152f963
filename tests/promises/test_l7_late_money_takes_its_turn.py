"""L7: money that comes when the hold is over takes its turn in the lane: it gets units that are free, or it goes back. Once.

On a real Redis and on every kind of database; the sweeper, the drain and the callback are the product's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from sqlalchemy import select, update

from firstcome.servers import PrivateRedis
from shop.orders.decide import drain_once
from shop.orders.entry import EntryLine, encode_entry
from shop.orders.expire import expire_due
from shop.orders.late import late_entries
from shop.payments.rules import Verdict
from shop.payments.settle import receive
from shop.payments.start import Start, start_payment
from shop.payments.webhooks import read_secrets, sign
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from shop.storage.tables import accounts, orders, outbox, payments, reservations, sale_items, sales
from tests.lanes.floor import KEYS, SALE, accept, entry, open_sale, runtime
from tests.till import PAPER, SECRET
from workers.drain import drain
from workers.runtime import Runtime
from workers.sweeper import publish_sales, take_in_late

UNITS = 3


@pytest.fixture
def work(
    redis_sync: redis.Redis, redis_server: PrivateRedis, database_url: str, db: Database
) -> Iterator[Runtime]:
    open_sale(db, units=UNITS, buyers=10)
    made = runtime(redis_server.url, database_url, providers={"simulator": PAPER})
    publish_sales(made)
    accept(redis_sync, range(UNITS))
    drain(made, SALE)
    yield made
    made.db.dispose()
    made.redis.close()
    made.rq_redis.close()


def begin(work: Runtime, number: int, key: str = "key") -> str:
    """Buyer `number` opens a payment; its id."""
    wish = Start(f"order{number:06}", f"account{number}", (f"{key}{number}",), "hash", "http://shop/return")
    return start_payment(work.db, work.vault, work.providers, wish).payment_id


def hear(work: Runtime, payment_id: str, kind: str = "succeeded", refunded: int = 0) -> Verdict:
    """The provider tells of a payment."""
    data = {"reference": payment_id, "amount": 1000, "currency": "KRW", "refunded": refunded}
    body = json.dumps({"type": f"payment.{kind}", "data": data}).encode()
    now = datetime.now(UTC)
    headers = sign(f"evt-{kind}-{payment_id}", int(now.timestamp()), body, read_secrets([SECRET]))
    return receive(work.db, work.vault, PAPER, headers, body, now=now).verdict


def expire(work: Runtime, number: int) -> None:
    """The hold of a reserved order runs out."""
    this = orders.c.order_id == f"order{number:06}"
    past = datetime.now(UTC) - timedelta(minutes=1)
    work.db.run(lambda tx: tx.execute(update(orders).where(this).values(hold_expires_at=past)) and None)
    assert len(expire_due(work.db, work.vault, work.providers).ended) == 1


def pay_late(work: Runtime, number: int = 0) -> str:
    """An attempt fails, the hold runs out, and then the money comes after all; the payment."""
    payment_id = begin(work, number)
    hear(work, payment_id, "failed")
    expire(work, number)
    assert hear(work, payment_id) is Verdict.LATE
    return payment_id


def standing(work: Runtime, number: int, payment_id: str) -> tuple[str, str, str | None]:
    """State of the order, of the payment, and what an operator is to look at."""
    order = select(orders.c.state, orders.c.review_reason).where(orders.c.order_id == f"order{number:06}")
    payment = select(payments.c.state).where(payments.c.payment_id == payment_id)
    row = work.db.read(lambda tx: tx.one(order))
    return row.state, work.db.read(lambda tx: tx.scalar(payment)), row.review_reason


def seqs(work: Runtime) -> list[int]:
    return list(work.db.read(lambda tx: tx.scalars(select(orders.c.seq).order_by(orders.c.seq))))


def stock(work: Runtime) -> tuple[int, int]:
    row = work.db.read(lambda tx: tx.one(select(sale_items)))
    return row.held, row.sold


def refunds(work: Runtime) -> int:
    asked = select(outbox.c.dedupe).where(outbox.c.kind == "refund")
    return len(work.db.read(lambda tx: tx.scalars(asked)))


def assert_books(work: Runtime) -> None:
    """The allotment of this sale was laid without a ledger; everything else has to agree."""
    assert [each for each in reconcile(work.db) if each.field != "allotted"] == []


def test_units_that_are_free_make_a_late_payment_a_paid_order(work: Runtime, redis_sync: redis.Redis) -> None:
    payment_id = pay_late(work)
    assert_books(work)

    take_in_late(work)
    drain(work, SALE)

    assert standing(work, 0, payment_id) == ("paid", "succeeded", None)
    rows = work.db.read(
        lambda tx: tx.scalars(
            select(reservations.c.state)
            .where(reservations.c.order_id == "order000000")
            .order_by(reservations.c.reservation_id)
        )
    )
    assert list(rows) == ["released", "committed"], "taking stock again is a new reservation"
    assert (stock(work), seqs(work), redis_sync.llen(KEYS.lane)) == ((2, 1), [1, 2, 3], 0)
    assert redis_sync.lrange(KEYS.outcomes, 0, -1)[-1] == "ticket0.1 paid"
    assert refunds(work) == 0
    assert_books(work)


def test_those_who_ordered_before_the_money_came_are_decided_before_it(
    work: Runtime, redis_sync: redis.Redis
) -> None:
    payment_id = pay_late(work)
    accept(redis_sync, range(3, 4))

    take_in_late(work)
    accept(redis_sync, range(4, 5))
    drain(work, SALE)

    states = {number: standing(work, number, payment_id)[0] for number in (0, 3, 4)}
    assert states == {0: "expired", 3: "reserved", 4: "rejected"}
    assert standing(work, 0, payment_id) == ("expired", "refund_pending", "late_success")
    assert (refunds(work), seqs(work), stock(work)) == (1, [1, 2, 3, 4, 5], (3, 0))
    assert_books(work)


def test_whatever_is_lost_or_repeated_late_money_is_decided_once(
    work: Runtime, redis_sync: redis.Redis
) -> None:
    payment_id = pay_late(work)
    for _ in range(3):
        take_in_late(work)
    assert redis_sync.llen(KEYS.lane) == 1, "it stands in the lane once"
    redis_sync.flushall()  # the store is lost after the money was taken in
    take_in_late(work)
    assert redis_sync.llen(KEYS.lane) == 0, "a lane that is not open yet takes nothing in"
    publish_sales(work)
    redis_sync.set(KEYS.lane_open, redis_sync.info("server")["run_id"])  # the receipts are back
    take_in_late(work)
    drain_once(work.db, SALE, lambda count: work.lanes.head(SALE, count), vault=work.vault)  # and dies here
    assert standing(work, 0, payment_id)[0] == "paid"
    (again,) = work.lanes.head(SALE, 10)
    assert again.late == payment_id
    redis_sync.delete(KEYS.late(payment_id))
    work.lanes.append_late(again)  # a sweeper that had read before the decision

    take_in_late(work)
    drain(work, SALE)

    assert (redis_sync.llen(KEYS.lane), stock(work), refunds(work)) == (0, (2, 1), 0)
    assert late_entries(work.db) == []
    assert_books(work)


def test_a_second_late_payment_of_an_order_goes_back(work: Runtime, redis_sync: redis.Redis) -> None:
    first = begin(work, 0)
    hear(work, first, "failed")
    second = begin(work, 0, "another")
    hear(work, second, "failed")
    expire(work, 0)
    assert [hear(work, first), hear(work, second)] == [Verdict.LATE, Verdict.REFUND_DUE]
    take_in_late(work)
    drain(work, SALE)
    assert standing(work, 0, first) == ("paid", "succeeded", None)
    assert standing(work, 0, second)[1] == "refund_pending"
    assert_books(work)


@pytest.mark.parametrize("why", ["limit", "erased", "cancelled sale"])
def test_late_money_that_may_not_buy_any_more_goes_back(
    work: Runtime, redis_sync: redis.Redis, why: str
) -> None:
    payment_id = pay_late(work)
    now = datetime.now(UTC)
    match why:
        case "limit":  # the same buyer has ordered all that one may have since
            two = [EntryLine(product_id="seat", quantity=2)]
            work.db.run(lambda tx: tx.execute(update(sale_items).values(allotted=9)) and None)
            redis_sync.rpush(KEYS.lane, encode_entry(entry(5, account_id="account0", lines=two)))
        case "erased":
            mine = accounts.c.account_id == "account0"
            work.db.run(lambda tx: tx.execute(update(accounts).where(mine).values(erased_at=now)) and None)
        case _:
            work.db.run(lambda tx: tx.execute(update(sales).values(control="cancelled")) and None)
    take_in_late(work)
    drain(work, SALE)
    assert standing(work, 0, payment_id) == ("expired", "refund_pending", "late_success")
    assert refunds(work) == 1


def test_when_the_sale_is_long_over_late_money_goes_back_without_a_lane(work: Runtime) -> None:
    payment_id = pay_late(work)
    past = datetime.now(UTC) - timedelta(days=2)
    over = {"opens_at": past, "closes_at": past, "control": "closed", "closed_at": past}
    work.db.run(lambda tx: tx.execute(update(sales).values(over)) and None)
    take_in_late(work)
    assert standing(work, 0, payment_id) == ("expired", "refund_pending", "late_success")
    assert refunds(work) == 1


@pytest.mark.parametrize("free", [True, False])
def test_a_part_that_goes_back_while_the_rest_waits_leaves_the_rest_in_its_turn(
    work: Runtime, redis_sync: redis.Redis, free: bool
) -> None:
    payment = pay_late(work)
    assert hear(work, payment, "refunded", refunded=300) is Verdict.PARTIALLY_REFUNDED
    assert_books(work)
    if not free:
        accept(redis_sync, [UNITS])
    take_in_late(work)
    drain(work, SALE)
    if free:
        assert standing(work, 0, payment) == ("paid", "partially_refunded", None)
    else:
        assert standing(work, 0, payment) == ("expired", "refund_pending", "late_success")
    assert late_entries(work.db) == []
    assert_books(work)

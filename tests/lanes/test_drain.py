"""One visit to a lane, in this process, on a real Redis and both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from sqlalchemy import text

from firstcome.servers import PrivateRedis
from shop.orders.decide import drain_once
from shop.orders.entry import encode_entry
from shop.storage.database import Database
from tests.lanes.floor import KEYS, SALE, accept, decided, entry, eventually, open_sale, runtime
from workers.drain import drain
from workers.runtime import Runtime


@pytest.fixture
def work(
    redis_sync: redis.Redis, redis_server: PrivateRedis, database_url: str, db: Database
) -> Iterator[Runtime]:
    open_sale(db, units=3, buyers=10)
    made = runtime(redis_server.url, database_url)
    yield made
    made.db.dispose()
    made.redis.close()
    made.rq_redis.close()


def test_orders_are_decided_in_the_order_of_the_lane_and_leave_it(
    work: Runtime, redis_sync: redis.Redis, db: Database
) -> None:
    accept(redis_sync, range(5))

    drain(work, SALE)

    assert decided(db) == [
        ("order000000", 1, "reserved", None),
        ("order000001", 2, "reserved", None),
        ("order000002", 3, "reserved", None),
        ("order000003", 4, "rejected", "sold_out"),
        ("order000004", 5, "rejected", "sold_out"),
    ]
    assert redis_sync.llen(KEYS.lane) == 0


def test_what_was_decided_is_told_to_the_room_and_the_buyer(work: Runtime, redis_sync: redis.Redis) -> None:
    redis_sync.hset(KEYS.passes, mapping={f"ticket{n}.1": f"order{n:06}" for n in range(5)})
    accept(redis_sync, range(5))

    drain(work, SALE)

    assert redis_sync.lrange(KEYS.outcomes, 0, -1) == ["ticket3.1 rejected", "ticket4.1 rejected"]
    assert sorted(redis_sync.hkeys(KEYS.passes)) == ["ticket0.1", "ticket1.1", "ticket2.1"]
    assert redis_sync.hgetall(KEYS.stock)["item:seat"] == "3:3:0:2"
    assert '"state":"reserved","seq":1' in str(redis_sync.get(KEYS.result("order000000")))
    assert '"reason":"sold_out"' in str(redis_sync.get(KEYS.result("order000004")))


def test_a_second_visit_to_the_same_entries_decides_nothing_and_tells_it_again(
    work: Runtime, redis_sync: redis.Redis, db: Database
) -> None:
    accept(redis_sync, range(4))
    drain(work, SALE)
    before = decided(db)
    redis_sync.delete(KEYS.outcomes, KEYS.result("order000003"))
    redis_sync.hset(KEYS.passes, "ticket3.1", "order000003")

    accept(redis_sync, range(4))  # as after a death between the commit and the pop
    drain(work, SALE)

    assert decided(db) == before
    assert redis_sync.llen(KEYS.lane) == 0
    assert redis_sync.lrange(KEYS.outcomes, 0, -1) == ["ticket3.1 rejected"]
    assert not redis_sync.hexists(KEYS.passes, "ticket3.1")
    assert redis_sync.exists(KEYS.result("order000003"))


def test_a_key_that_comes_again_with_another_pass_uses_no_turn_up(
    work: Runtime, redis_sync: redis.Redis, db: Database
) -> None:
    """Its record is gone after a day, and its order is the same for ever: nobody decides it anew."""
    accept(redis_sync, range(1))
    drain(work, SALE)
    again = entry(0, pass_jti="ticket0.2")
    redis_sync.hset(KEYS.passes, "ticket0.2", again.order_id)
    redis_sync.rpush(KEYS.lane, encode_entry(again))

    drain(work, SALE)

    assert [row[:3] for row in decided(db)] == [("order000000", 1, "reserved")]
    assert not redis_sync.hexists(KEYS.passes, "ticket0.2")
    assert redis_sync.lrange(KEYS.outcomes, 0, -1) == ["ticket0.2 rejected"]


def test_what_a_drain_took_and_died_over_is_in_the_copy_before_it_leaves_the_lane(
    work: Runtime, redis_sync: redis.Redis
) -> None:
    accept(redis_sync, range(2))
    drain_once(work.db, SALE, lambda count: work.lanes.head(SALE, count))  # killed right after the commit

    drain(work, SALE)

    assert redis_sync.llen(KEYS.lane) == 0
    assert redis_sync.hget(KEYS.stock, "item:seat") == "3:2:0:2", "units in no lane and in no copy look free"


def test_a_visit_in_small_batches_empties_the_lane_all_the_same(
    redis_sync: redis.Redis, redis_server: PrivateRedis, database_url: str, db: Database
) -> None:
    open_sale(db, units=100, buyers=10)
    small = runtime(redis_server.url, database_url, batch_max=2)
    accept(redis_sync, range(7))

    drain(small, SALE)

    assert [row[1] for row in decided(db)] == list(range(1, 8))
    small.db.dispose()


def test_a_visit_whose_time_is_over_rings_for_the_rest(
    redis_sync: redis.Redis,
    rq_redis: redis.Redis,
    redis_server: PrivateRedis,
    database_url: str,
    db: Database,
) -> None:
    open_sale(db, units=100, buyers=10)
    hasty = runtime(redis_server.url, database_url, batch_max=2, slice_s=0.0)
    accept(redis_sync, range(5))

    drain(hasty, SALE)

    assert len(decided(db)) == 2
    assert rq_redis.llen("rq:queue:lanes") == 1
    hasty.db.dispose()


def test_a_visit_waits_for_the_next_order_and_for_none_while_another_lane_waits(
    redis_sync: redis.Redis,
    rq_redis: redis.Redis,
    redis_server: PrivateRedis,
    database_url: str,
    db: Database,
) -> None:
    open_sale(db, units=100, buyers=10)
    patient = runtime(redis_server.url, database_url, slice_s=60.0, linger_s=60.0)
    accept(redis_sync, range(1))

    with ThreadPoolExecutor(1) as worker:
        visit = worker.submit(drain, patient, SALE)
        eventually(lambda: len(decided(db)) == 1, "the first is decided")
        accept(redis_sync, range(1, 2))
        eventually(lambda: len(decided(db)) == 2, "the second is decided by the same visit")
        assert not visit.done()
        assert rq_redis.llen("rq:queue:lanes") == 0, "nobody rang"
        patient.doorbell.ring("another00001")
        visit.result(10)

    assert not redis_sync.exists(KEYS.lane_bell), "whoever comes now rings"
    patient.db.dispose()


def test_a_lane_that_somebody_else_drains_is_left_to_them(
    work: Runtime, redis_sync: redis.Redis, rq_redis: redis.Redis, db: Database, database_url: str
) -> None:
    if database_url.startswith("sqlite"):
        locked = "UPDATE lanes SET seq = seq"
    else:
        locked = f"SELECT seq FROM lanes WHERE sale_id = '{SALE}' FOR UPDATE"
    accept(redis_sync, range(2))
    with db.engine.begin() as somebody:
        somebody.execute(text(locked))
        drain(work, SALE)
        assert redis_sync.llen(KEYS.lane) == 2
    assert rq_redis.llen("rq:queue:lanes") == 0
    assert decided(db) == []


def test_without_a_database_orders_wait_and_nothing_is_counted_against_them(
    redis_sync: redis.Redis, redis_server: PrivateRedis, db: Database
) -> None:
    open_sale(db, units=3, buyers=3)
    away = runtime(redis_server.url, "mysql://nobody@127.0.0.1:1/nothing")
    accept(redis_sync, range(2))

    drain(away, SALE)

    assert redis_sync.llen(KEYS.lane) == 2
    assert db.read(lambda tx: tx.scalar(text("SELECT COUNT(*) FROM lane_attempts"))) == 0


def test_a_careful_visit_decides_the_same(work: Runtime, redis_sync: redis.Redis, db: Database) -> None:
    accept(redis_sync, range(5))

    drain(work, SALE, careful=True)

    assert [(row[1], row[2]) for row in decided(db)] == [
        (1, "reserved"),
        (2, "reserved"),
        (3, "reserved"),
        (4, "rejected"),
        (5, "rejected"),
    ]
    assert redis_sync.llen(KEYS.lane) == 0


def test_an_order_that_stands_twice_in_the_lane_is_decided_once(
    work: Runtime, redis_sync: redis.Redis, db: Database
) -> None:
    accept(redis_sync, range(1))
    accept(redis_sync, range(2))

    drain(work, SALE)

    assert [row[0] for row in decided(db)] == [entry(0).order_id, entry(1).order_id]
    assert redis_sync.llen(KEYS.lane) == 0

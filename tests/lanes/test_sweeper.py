"""What the sweeper finds and mends, on a real Redis and both databases."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
import structlog
from sqlalchemy import text, update

from firstcome.servers import PrivateRedis
from shop.mail.effects import Request, put_effects
from shop.storage.database import Database
from shop.storage.tables import orders
from tests.lanes.floor import KEYS, SALE, accept, decided, eventually, open_sale, runtime
from workers.drain import drain
from workers.runtime import Runtime
from workers.sweeper import (
    COPIES,
    MONEY,
    expire_holds,
    free_slots,
    publish_sales,
    ring_lanes,
    ring_outbox,
    sweep,
    sweep_once,
)

BELLS = "rq:queue:lanes"


@pytest.fixture
def work(
    redis_sync: redis.Redis, redis_server: PrivateRedis, database_url: str, db: Database
) -> Iterator[Runtime]:
    open_sale(db, units=3, buyers=10)
    made = runtime(redis_server.url, database_url, sweep_s=0.1)
    yield made
    made.db.dispose()
    made.redis.close()
    made.rq_redis.close()


def admitted_and_ordering(client: redis.Redis, *numbers: int) -> None:
    """The slots of these buyers as the room and accept.lua leave them after an accepted order."""
    for number in numbers:
        record = {"state": "admitted", "number": number, "turn": 1, "jti": f"ticket{number}.1"}
        client.hset(KEYS.served, f"ticket{number}", json.dumps(record))
        client.zadd(KEYS.ordering, {f"ticket{number}": 1_000_000})
        client.hset(KEYS.passes, f"ticket{number}.1", f"order{number:06}")


def end_holds(db: Database) -> None:
    """Every hold ended a minute ago."""
    over = timedelta(minutes=1)
    db.run(lambda tx: tx.execute(update(orders).values(hold_expires_at=tx.now - over)))


def test_an_emptied_redis_gets_every_live_sale_again(work: Runtime, redis_sync: redis.Redis) -> None:
    publish_sales(work)
    assert redis_sync.exists(KEYS.lane_open), "nothing was ever accepted in it"
    redis_sync.flushall()

    publish_sales(work)

    assert redis_sync.hget(KEYS.settings, "control") == "running"
    assert redis_sync.hget(KEYS.stock, "item:seat") == "3:0:0:2"
    assert not redis_sync.exists(KEYS.lane_open), "orders may have been lost with it"


def test_a_lane_whose_doorbell_was_lost_is_rung_again(
    work: Runtime, redis_sync: redis.Redis, rq_redis: redis.Redis
) -> None:
    assert not ring_lanes(work)
    assert rq_redis.llen(BELLS) == 0

    accept(redis_sync, range(1))
    assert ring_lanes(work)
    assert rq_redis.llen(BELLS) == 1


def test_two_sweepers_ring_once(work: Runtime, redis_sync: redis.Redis, rq_redis: redis.Redis) -> None:
    accept(redis_sync, range(1))

    assert [ring_lanes(work), ring_lanes(work)] == [True, False]
    assert rq_redis.llen(BELLS) == 1


def test_a_hold_that_is_over_goes_back_to_the_next_in_line(
    work: Runtime, redis_sync: redis.Redis, db: Database
) -> None:
    accept(redis_sync, range(2))
    drain(work, SALE)
    end_holds(db)

    expire_holds(work)

    assert [row[2] for row in decided(db)] == ["expired", "expired"]
    assert redis_sync.hget(KEYS.stock, "item:seat") == "3:0:0:2"
    assert redis_sync.lrange(KEYS.outcomes, 0, -1) == ["ticket0.1 ended", "ticket1.1 ended"]


def test_slots_of_orders_whose_end_was_never_heard_are_freed(
    work: Runtime, redis_sync: redis.Redis, db: Database
) -> None:
    accept(redis_sync, range(5))
    drain(work, SALE)  # three reserved, two rejected
    db.run(lambda tx: tx.execute(text("UPDATE orders SET state = 'paid' WHERE order_id = 'order000001'")))
    redis_sync.delete(KEYS.outcomes)
    admitted_and_ordering(redis_sync, 0, 1, 3, 4)
    redis_sync.hdel(KEYS.passes, "ticket4.1")  # given back; only its word was lost

    free_slots(work)

    assert sorted(redis_sync.lrange(KEYS.outcomes, 0, -1)) == [
        "ticket1.1 paid",
        "ticket3.1 rejected",
        "ticket4.1 rejected",
    ]
    assert sorted(redis_sync.hkeys(KEYS.passes)) == ["ticket0.1", "ticket1.1"]


def test_nothing_is_announced_again_before_the_room_has_taken_in_the_last_words(
    work: Runtime, redis_sync: redis.Redis
) -> None:
    admitted_and_ordering(redis_sync, 4)
    redis_sync.hdel(KEYS.passes, "ticket4.1")

    for _ in range(3):
        free_slots(work)

    assert redis_sync.lrange(KEYS.outcomes, 0, -1) == ["ticket4.1 rejected"]


def test_orders_that_are_still_queued_keep_their_slots(work: Runtime, redis_sync: redis.Redis) -> None:
    accept(redis_sync, range(2))
    admitted_and_ordering(redis_sync, 0, 1)

    free_slots(work)

    assert redis_sync.llen(KEYS.outcomes) == 0


def test_a_live_order_keeps_its_slot_beyond_the_backstop_and_an_unknown_one_does_not(
    work: Runtime, redis_sync: redis.Redis, db: Database
) -> None:
    """The hold of a paying order is longer than the time that the backstop was reckoned with."""
    accept(redis_sync, range(3))
    drain(work, SALE)
    db.run(lambda tx: tx.execute(text("UPDATE orders SET state = 'paying' WHERE order_id = 'order000001'")))
    admitted_and_ordering(redis_sync, 0, 1, 2, 9)  # nobody has ever heard of the order of buyer 9
    redis_sync.zadd(KEYS.ordering, {"ticket2": 9_000_000})
    clock_ms = 999_000  # the backstop of three of them is a second away
    redis_sync.hset(KEYS.room, "clock_ms", clock_ms)

    free_slots(work)

    backstops = dict(redis_sync.zrange(KEYS.ordering, 0, -1, withscores=True))
    assert min(backstops["ticket0"], backstops["ticket1"]) > clock_ms + 10 * 1000 * work.sweep_s
    assert (backstops["ticket2"], backstops["ticket9"]) == (9_000_000, 1_000_000)
    assert redis_sync.llen(KEYS.outcomes) == 0


def test_the_outbox_is_rung_for_what_is_due_and_can_be_carried_out(
    work: Runtime, db: Database, database_url: str, redis_server: PrivateRedis, rq_redis: redis.Redis
) -> None:
    able = runtime(redis_server.url, database_url, effects={"greet": lambda _payload: None})
    db.run(put_effects, work.vault, [Request("greet", "greet:1", {})])

    ring_outbox(work)
    assert rq_redis.llen("rq:queue:outbox") == 0
    ring_outbox(able)
    assert rq_redis.llen("rq:queue:outbox") == 1
    able.db.dispose()


def test_a_duty_that_fails_keeps_no_other_from_its_turn(
    work: Runtime, redis_sync: redis.Redis, rq_redis: redis.Redis
) -> None:
    def broken(_runtime: Runtime) -> bool:
        raise KeyError("a mistake of ours")

    redis_sync.set(KEYS.settings, "not a hash")  # laying the copy fails
    accept(redis_sync, range(1))
    with structlog.testing.capture_logs() as logs:
        assert sweep_once(work, [broken, *COPIES, *MONEY])

    assert rq_redis.llen(BELLS) == 1
    assert [(line["event"], line["duty"]) for line in logs] == [
        ("duty_failed", "broken"),
        ("duty_put_off", "publish_sales"),
    ]


def test_without_database_or_redis_the_sweeper_goes_on_trying(
    redis_sync: redis.Redis, redis_server: PrivateRedis
) -> None:
    away = runtime(redis_server.url, "mysql://nobody@127.0.0.1:1/nothing", sweep_s=0.05)

    with structlog.testing.capture_logs() as logs:
        assert not sweep_once(away, [*COPIES, *MONEY])

    assert {line["event"] for line in logs} == {"duty_put_off"}
    assert len(logs) == len([*COPIES, *MONEY])


def test_two_sweepers_side_by_side_end_every_hold_once(
    work: Runtime,
    redis_sync: redis.Redis,
    redis_server: PrivateRedis,
    db: Database,
    database_url: str,
) -> None:
    other = runtime(redis_server.url, database_url, sweep_s=0.1)
    accept(redis_sync, range(3))
    drain(work, SALE)
    end_holds(db)
    stop = threading.Event()
    sweepers = [threading.Thread(target=sweep, args=(one, stop)) for one in (work, other)]
    for sweeper in sweepers:
        sweeper.start()

    eventually(lambda: all(row[2] == "expired" for row in decided(db)), "every hold has ended")
    eventually(lambda: redis_sync.hget(KEYS.stock, "held") == "0", "the copy of the stock")
    stop.set()
    for sweeper in sweepers:
        sweeper.join(timeout=10)
        assert not sweeper.is_alive()

    released = db.read(
        lambda tx: tx.scalar(text("SELECT SUM(delta_held) FROM stock_ledger WHERE reason = 'expired'"))
    )
    assert int(released) == -3
    other.db.dispose()


def test_the_sweeper_ends_when_it_is_asked_to(
    redis_sync: redis.Redis, redis_server: PrivateRedis, db: Database, database_url: str
) -> None:
    open_sale(db, units=3, buyers=1)
    code = (
        "import sys; from tests.lanes.floor import runtime; from workers.sweeper import run_sweeper; "
        "run_sweeper(runtime(sys.argv[1], sys.argv[2], sweep_s=0.1))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, redis_server.url, database_url])
    eventually(lambda: redis_sync.exists(KEYS.lane_open), "the first round")

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0

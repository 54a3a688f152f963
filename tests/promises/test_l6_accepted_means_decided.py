"""L6: an order that was accepted is decided within seconds, once and in its turn, whatever process is killed meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
import redis
from sqlalchemy import text

from firstcome.servers import PrivateRedis
from shop.storage.database import Database
from tests.conftest import empty
from tests.lanes.floor import KEYS, SALE, WorkersAtWork, accept, decided, eventually, open_sale
from workers.doorbell import Doorbell

ORDERS = 150
UNITS = 100
KILLS = 3


@pytest.fixture
def bell(redis_sync: redis.Redis, rq_redis: redis.Redis) -> Doorbell:
    return Doorbell(rq_redis)


@pytest.fixture
def mariadb(mariadb_url: str) -> Iterator[Database]:
    empty(mariadb_url)
    database = Database(mariadb_url)
    yield database
    database.dispose()


def assert_each_decided_once_in_its_turn(db: Database) -> None:
    rows = decided(db)
    assert [row[0] for row in rows] == [f"order{number:06}" for number in range(ORDERS)]
    assert [row[1] for row in rows] == list(range(1, ORDERS + 1))
    assert [row[2] for row in rows] == ["reserved"] * UNITS + ["rejected"] * (ORDERS - UNITS)
    assert {row[3] for row in rows} == {None, "sold_out"}


def kill_one(find: Callable[[], list[psutil.Process]]) -> bool:
    """kill -9 one of those found; False if there was none, or it ended just before."""
    for process in find():
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        return True
    return False


def finish(bell: Doorbell, client: redis.Redis) -> None:
    """Ring as the sweeper does, until the lane is empty."""

    def is_empty() -> bool:
        if client.llen("rq:queue:lanes") == 0:
            bell.ring(SALE)
        return client.llen(KEYS.lane) == 0

    # Ten seconds of it the server may keep the lane of a drainer that died; the rest is for a busy machine.
    eventually(is_empty, "the lane is empty", 30)


@pytest.mark.parametrize("victim", ["work-horse", "worker"])
def test_every_accepted_order_is_decided_once_and_in_order_though_workers_are_killed(
    redis_sync: redis.Redis,
    redis_server: PrivateRedis,
    bell: Doorbell,
    db: Database,
    database_url: str,
    victim: str,
) -> None:
    open_sale(db, units=UNITS, buyers=ORDERS)
    accept(redis_sync, range(ORDERS))
    # Small batches, so that there is a middle to be killed in.
    with WorkersAtWork(redis_server.url, database_url, batch_max=3) as pool:

        def killed_at_a_lane() -> bool:
            if redis_sync.llen("rq:queue:lanes") == 0:
                bell.ring(SALE)
            return kill_one(lambda: pool.work_horses if victim == "work-horse" else pool.busy_workers)

        for _ in range(KILLS):
            eventually(killed_at_a_lane, f"a {victim} at a lane")
        finish(bell, redis_sync)

    assert_each_decided_once_in_its_turn(db)


def test_a_batch_whose_work_horse_is_killed_before_the_commit_leaves_nothing_half_done(
    redis_sync: redis.Redis, redis_server: PrivateRedis, bell: Doorbell, mariadb: Database, mariadb_url: str
) -> None:
    open_sale(mariadb, units=UNITS, buyers=ORDERS)
    accept(redis_sync, range(ORDERS))
    with WorkersAtWork(redis_server.url, mariadb_url) as pool:
        with mariadb.engine.begin() as somebody:
            somebody.execute(text("SELECT * FROM sale_items FOR UPDATE"))
            bell.ring(SALE)
            # The batch is written; its last statement, on the stock, waits for us.
            eventually(lambda: waiting_for_a_lock(mariadb), "a batch before its commit")
            assert kill_one(lambda: pool.work_horses)
        finish(bell, redis_sync)

    assert_each_decided_once_in_its_turn(mariadb)


def test_a_work_horse_that_hangs_in_a_batch_loses_the_lane_and_changes_nothing_when_it_wakes(
    redis_sync: redis.Redis, redis_server: PrivateRedis, bell: Doorbell, mariadb: Database, mariadb_url: str
) -> None:
    open_sale(mariadb, units=UNITS, buyers=ORDERS)
    accept(redis_sync, range(ORDERS))
    with WorkersAtWork(redis_server.url, mariadb_url, wait_timeout_s=2) as pool:
        with mariadb.engine.begin() as somebody:
            somebody.execute(text("SELECT * FROM sale_items FOR UPDATE"))
            bell.ring(SALE)
            eventually(lambda: waiting_for_a_lock(mariadb), "a batch before its commit")
            [hanging] = pool.work_horses
            hanging.send_signal(signal.SIGSTOP)
        finish(bell, redis_sync)
        hanging.send_signal(signal.SIGCONT)
        eventually(lambda: hanging not in pool.work_horses, "the work-horse has ended")

    assert_each_decided_once_in_its_turn(mariadb)


def test_an_order_at_which_every_work_horse_dies_is_rejected_in_its_turn_and_holds_up_nobody(
    redis_sync: redis.Redis, redis_server: PrivateRedis, bell: Doorbell, mariadb: Database, mariadb_url: str
) -> None:
    open_sale(mariadb, units=UNITS, buyers=10)
    accept(redis_sync, range(10))
    dead: set[int] = set()
    with (
        deadly(mariadb, "order000004"),
        WorkersAtWork(redis_server.url, mariadb_url, processes=1) as pool,
    ):

        def is_empty() -> bool:
            if redis_sync.llen("rq:queue:lanes") == 0 and not pool.work_horses:
                bell.ring(SALE)
            for connection in asleep(mariadb) - dead:  # in the middle of deciding the deadly order
                dead.add(connection)
                kill_one(lambda: pool.work_horses)
            return redis_sync.llen(KEYS.lane) == 0

        eventually(is_empty, "the lane is empty", 14)

    assert [(row[1], row[2], row[3]) for row in decided(mariadb)] == [
        (seq, "rejected", "failed") if seq == 5 else (seq, "reserved", None) for seq in range(1, 11)
    ]


@contextmanager
def deadly(db: Database, order_id: str) -> Iterator[None]:
    """Whoever writes this order's decision, other than a rejection, sleeps in the middle of it."""
    trigger = (
        "CREATE TRIGGER deadly BEFORE INSERT ON orders FOR EACH ROW "
        f"IF NEW.order_id = '{order_id}' AND NEW.state <> 'rejected' THEN DO SLEEP(0.7); END IF"
    )
    with db.engine.begin() as connection:
        connection.exec_driver_sql(trigger)
    try:
        yield
    finally:
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER deadly")


def asleep(db: Database) -> set[int]:
    """The connections that sleep inside a statement; the server sees only later that a client has died."""
    sleeping = "SELECT id FROM information_schema.processlist WHERE state = 'User sleep'"
    return set(db.read(lambda tx: tx.scalars(text(sleeping))))


def waiting_for_a_lock(db: Database) -> bool:
    """Whether a transaction waits for a row that somebody else holds."""
    waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"
    return db.read(lambda tx: tx.one(text(waits)))[1] != "0"

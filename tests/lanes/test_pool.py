"""Worker processes: how they end, how they are replaced, that none is ever left behind."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
import redis
from sqlalchemy import select, text

from firstcome.servers import PrivateRedis
from shop.mail.effects import Request, put_effects
from shop.storage.database import Database
from shop.storage.tables import outbox
from tests.conftest import empty
from tests.lanes.floor import (
    KEYS,
    SALE,
    VAULT,
    WorkersAtWork,
    accept,
    decided,
    eventually,
    is_alive,
    open_sale,
)
from workers.doorbell import QUEUE_OUTBOX, Doorbell
from workers.liveness import liveness


@pytest.fixture
def database_url(mariadb_url: str) -> str:
    """One kind of server: this is about processes, not about databases."""
    empty(mariadb_url)
    return mariadb_url


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(is_alive(process) for process in processes)


def test_sigterm_ends_every_process_after_the_running_batch(
    redis_sync: redis.Redis,
    redis_server: PrivateRedis,
    rq_redis: redis.Redis,
    db: Database,
    database_url: str,
) -> None:
    open_sale(db, units=100, buyers=50)
    accept(redis_sync, range(50))
    with WorkersAtWork(redis_server.url, database_url, batch_max=2) as pool:
        Doorbell(rq_redis).ring(SALE)
        eventually(lambda: redis_sync.llen(KEYS.lane) < 50, "orders are being decided")
        everybody = [psutil.Process(pool.process.pid), *pool.workers, *pool.work_horses]

        pool.process.send_signal(signal.SIGTERM)
        assert pool.process.wait(timeout=10) == 0
        assert all_gone(everybody)

    assert redis_sync.llen(KEYS.lane) == 50 - len(decided(db))


def test_ctrl_c_ends_every_process(
    redis_sync: redis.Redis, redis_server: PrivateRedis, database_url: str
) -> None:
    with WorkersAtWork(redis_server.url, database_url) as pool:
        everybody = eventually(lambda: len(pool.workers) == 2 and pool.workers, "two workers")
        for process in (psutil.Process(pool.process.pid), *everybody):  # as a terminal does
            process.send_signal(signal.SIGINT)
        assert pool.process.wait(timeout=10) == 0
        assert all_gone(everybody)


def test_nobody_outlives_a_supervisor_that_is_killed(
    redis_sync: redis.Redis,
    redis_server: PrivateRedis,
    rq_redis: redis.Redis,
    db: Database,
    database_url: str,
) -> None:
    open_sale(db, units=100, buyers=50)
    accept(redis_sync, range(50))
    with WorkersAtWork(redis_server.url, database_url, batch_max=2) as pool:
        Doorbell(rq_redis).ring(SALE)
        eventually(lambda: pool.work_horses, "a work-horse")
        everybody = [*pool.workers, *pool.work_horses]
        pool.process.kill()
        eventually(lambda: all_gone(everybody), "every process has ended", 8)


def test_a_work_horse_in_the_middle_of_a_batch_ends_with_its_worker(
    redis_sync: redis.Redis,
    redis_server: PrivateRedis,
    rq_redis: redis.Redis,
    db: Database,
    database_url: str,
) -> None:
    open_sale(db, units=100, buyers=50)
    accept(redis_sync, range(50))
    with (
        WorkersAtWork(redis_server.url, database_url, processes=1) as pool,
        db.engine.begin() as somebody,
    ):
        somebody.execute(text("UPDATE sale_items SET held = held"))  # the work-horse has to wait
        Doorbell(rq_redis).ring(SALE)
        [horse] = eventually(lambda: pool.work_horses, "a work-horse")
        [worker] = pool.workers
        worker.kill()
        eventually(lambda: all_gone([horse]), "the work-horse has ended")


def test_an_effect_whose_worker_is_killed_is_taken_over_once_its_lease_is_over(
    redis_server: PrivateRedis,
    rq_redis: redis.Redis,
    redis_sync: redis.Redis,
    db: Database,
    database_url: str,
    tmp_path: Path,
) -> None:
    door, bell = tmp_path / "door", Doorbell(rq_redis)
    db.run(put_effects, VAULT, [Request("knock", "knock:1", {"door": str(door)})])

    def done() -> bool:
        bell.ring_outbox()  # the sweeper's part
        return db.read(lambda tx: tx.scalar(select(outbox.c.done_at))) is not None

    with WorkersAtWork(redis_server.url, database_url, queue=QUEUE_OUTBOX, lease_s=3) as pool:
        bell.ring_outbox()
        eventually(door.exists, "somebody carries it out")
        [busy] = pool.busy_workers
        busy.kill()
        eventually(done, "somebody else has done it", 30)

    first, second = door.read_text().splitlines()
    assert first != second
    assert db.read(lambda tx: tx.scalar(select(outbox.c.attempts))) == 2


def test_a_worker_that_dies_is_replaced(
    redis_sync: redis.Redis, redis_server: PrivateRedis, database_url: str
) -> None:
    with WorkersAtWork(redis_server.url, database_url, processes=1) as pool:
        [first] = eventually(lambda: pool.workers, "a worker")
        first.kill()
        [second] = eventually(lambda: [one for one in pool.workers if one.pid != first.pid], "another worker")
        assert second.pid != first.pid


def test_workers_survive_a_restart_of_redis(
    redis_server: PrivateRedis,
    rq_redis: redis.Redis,
    redis_sync: redis.Redis,
    db: Database,
    database_url: str,
) -> None:
    open_sale(db, units=100, buyers=50)
    with WorkersAtWork(redis_server.url, database_url, processes=1) as pool:
        eventually(lambda: redis_sync.scard("rq:workers"), "a worker at its queue")
        redis_server.restart()
        accept(redis_sync, range(5))
        Doorbell(rq_redis).ring(SALE)
        eventually(lambda: redis_sync.llen(KEYS.lane) == 0, "the lane is empty", 12)
        assert pool.process.poll() is None
    assert len(decided(db)) == 5


def test_workers_are_listed_again_after_redis_was_emptied(
    redis_server: PrivateRedis, rq_redis: redis.Redis, redis_sync: redis.Redis, database_url: str
) -> None:
    def at_work() -> bool:
        now = liveness(redis_sync, rq_redis, SALE)
        return now is not None and now.lanes == 2

    with WorkersAtWork(redis_server.url, database_url, processes=2):
        eventually(at_work, "two workers at their queue")
        redis_sync.flushall()
        eventually(at_work, "both are known again", 15)

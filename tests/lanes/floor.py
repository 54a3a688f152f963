"""A sale in the database and in Redis, buyers who order, and worker processes of their own, for the lanes' tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import redis
import structlog
from sqlalchemy import select

from firstcome import clients
from shop.orders.entry import EntryLine, OrderEntry, encode_entry
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, lanes, orders, products, sale_items, sales
from shop.vault import Vault
from waiting_room.keys import SaleKeys
from workers.doorbell import QUEUE_LANES
from workers.pool import run_workers
from workers.runtime import Runtime

SALE = "sale000001"
KEYS = SaleKeys(SALE)
PRODUCT = "seat"
VAULT = Vault("k1", {"k1": b"k" * 32})


def open_sale(db: Database, *, units: int, buyers: int, sale_id: str = SALE) -> None:
    """A running sale of one product, with verified accounts `account0` …"""
    db.run(_open_sale, units, buyers, sale_id)


def _open_sale(tx: Tx, units: int, buyers: int, sale_id: str) -> None:
    now = datetime.now(UTC)
    tx.insert_missing(
        products,
        [
            {
                "product_id": PRODUCT,
                "title": "Seat",
                "description": "",
                "price": 1000,
                "currency": "KRW",
                "on_hand": 0,
                "created_at": now,
            }
        ],
    )
    tx.insert(
        sales,
        [
            {
                "sale_id": sale_id,
                "slug": sale_id,
                "title": "A sale",
                "mode": "fifo",
                "control": "running",
                "lobby_opens_at": now - timedelta(hours=2),
                "opens_at": now - timedelta(hours=1),
                "closes_at": now + timedelta(hours=1),
                "calls_per_minute": 600,
                "capacity": 100,
                "turn_window_s": 120,
                "comeback_s": 600,
                "hold_s": 600,
                "pass_s": 600,
                "over_call_limit": 100,
                "ticket_key_id": "k1",
                "created_at": now,
            }
        ],
    )
    tx.insert(
        sale_items,
        [
            {
                "sale_id": sale_id,
                "product_id": PRODUCT,
                "price": 1000,
                "currency": "KRW",
                "limit_per_buyer": 2,
                "allotted": units,
            }
        ],
    )
    tx.insert(lanes, [{"sale_id": sale_id, "seq": 0}])
    tx.insert_missing(
        accounts, [{"account_id": f"account{number}", "created_at": now} for number in range(buyers)]
    )


def entry(number: int, **changes: Any) -> OrderEntry:
    """The order of buyer `number`, as accept.lua would have pushed it."""
    values = {
        "order_id": f"order{number:06}",
        "sale_id": SALE,
        "account_id": f"account{number}",
        "pass_jti": f"ticket{number}.1",
        "pass_exp_ms": 2_000_000_000_000,
        "lines": [EntryLine(product_id=PRODUCT, quantity=1)],
        "address_id": None,
        "fingerprint": "f",
        "accepted_no": number + 1,
        "accepted_at_ms": int(time.time() * 1000),
    }
    return OrderEntry(**(values | changes))


def accept(client: redis.Redis, numbers: range) -> None:
    """Put these buyers' orders into the lane."""
    client.rpush(KEYS.lane, *(encode_entry(entry(number)) for number in numbers))


def decided(db: Database) -> list[tuple[str, int, str, str | None]]:
    """(order id, seq, state, reason) in the order of decision."""
    columns = (orders.c.order_id, orders.c.seq, orders.c.state, orders.c.reason)
    return [tuple(row) for row in db.read(lambda tx: tx.all(select(*columns).order_by(orders.c.seq)))]


def runtime(redis_url: str, database_url: str, *, wait_timeout_s: int = 10, **limits: Any) -> Runtime:
    """A runtime as the command line would build it."""
    return Runtime(
        db=Database(database_url, wait_timeout_s=wait_timeout_s),
        redis=clients.redis_sync(redis_url),
        rq_redis=clients.rq_redis(redis_url),
        vault=VAULT,
        **{"effects": {}, "providers": {}, "linger_s": 0.0} | limits,
    )


class WorkersAtWork:
    """`firstcome work` in a process group of its own, without the command line; a context manager.

    On the queue of the outbox they carry out `knock`.
    """

    def __init__(
        self,
        redis_url: str,
        database_url: str,
        *,
        processes: int = 2,
        queue: str = QUEUE_LANES,
        **limits: int,
    ) -> None:
        self.redis_url, self.database_url, self.processes, self.queue, self.limits = (
            redis_url,
            database_url,
            processes,
            queue,
            limits,
        )

    def __enter__(self) -> WorkersAtWork:
        limits = [f"{name}={value}" for name, value in ({"linger_s": 1} | self.limits).items()]
        words = [self.redis_url, self.database_url, self.queue, str(self.processes), *limits]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.lanes.floor", *words], start_new_session=True
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=10)

    @property
    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        return _alive(psutil.Process(self.process.pid).children())

    @property
    def work_horses(self) -> list[psutil.Process]:
        """The forked processes that are at a lane just now."""
        return _alive([horse for worker in self.workers for horse in _children(worker)])

    @property
    def busy_workers(self) -> list[psutil.Process]:
        """The workers whose work-horse is at a lane just now."""
        return [worker for worker in self.workers if _alive(_children(worker))]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if is_alive(one)]


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that is dead and not yet waited for does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, timeout_s: float = 10.0) -> T:
    """The first truthy answer of `look`; fails with `what`."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.01)
    return found


def knock(payload: dict[str, Any]) -> None:
    """An effect: the first to come to the door writes its pid on it and stands there until it is killed, the next goes through."""
    door = Path(payload["door"])
    with door.open("a") as book:
        book.write(f"{os.getpid()}\n")
    if len(door.read_text().splitlines()) == 1:
        signal.pause()


def main() -> None:
    """The process behind `WorkersAtWork`."""
    redis_url, database_url, queue, processes, *words = sys.argv[1:]
    limits = {name: int(value) for name, value in (word.split("=") for word in words)}
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    def made() -> Runtime:
        return runtime(redis_url, database_url, effects={"knock": knock}, **limits)

    run_workers(made, queue, processes=int(processes))


if __name__ == "__main__":
    main()

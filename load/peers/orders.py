"""The peers of the lane: other ways to take the same orders into the same database, as plain as they are usually written.

    python -m load.peers.orders WAY DATABASE_URL REDIS_URL SOURCE TARGET COUNT [PER_SECOND]

Every way writes, per order, the very rows that the drain wrote for the sale SOURCE (order, line, reservation, ledger, outbox),
under new ids, into the sale TARGET; straight through the driver, prepared before the clock starts, nothing sealed and nothing
checked but the stock. That makes the peers cheaper than real shops, never dearer. With PER_SECOND orders arrive at that pace, and
an order's time counts from its arrival. Prints one line of JSON.

    lock      one distributed Redis lock for the product, waiters woken by pub/sub; 8 threads, one transaction per order
    lock-10ms, lock-100ms      the same with redis-py's own Lock, whose waiters poll
    row-lock  SELECT … FOR UPDATE on the stock's row; 8 connections, one transaction per order
    ceiling   multi-row INSERTs of 500 on one connection, no logic at all
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pymysql
import redis
from sqlalchemy import Table, make_url

from load.figures import quantile
from shop.storage.tables import order_lines, orders, outbox, reservations, stock_ledger

THREADS = 8
CHUNK = 500
LOCK_MS = 10_000
TABLES: tuple[Table, ...] = (orders, order_lines, reservations, outbox, stock_ledger)

Connection: TypeAlias = "pymysql.connections.Connection[Any]"


def order_id(sale_id: str, number: int) -> str:
    """22 characters without an order of their own, as the product's order ids are."""
    return _text(f"order {sale_id} {number}", 16)


def jti(sale_id: str, number: int) -> str:
    """A pass id like the product's: ticket id and turn."""
    return f"{_text(f'ticket {sale_id} {number}', 10)}.1"


def _text(content: str, size: int) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return base64.urlsafe_b64encode(digest[:size]).decode().rstrip("=")


def connect(database_url: str) -> Connection:
    """A connection as the product has it: READ COMMITTED, no autocommit."""
    url = make_url(database_url)
    connection: Connection = pymysql.connect(
        user=url.username,
        database=url.database,
        unix_socket=str(url.query["unix_socket"]),
        charset="utf8mb4",
        autocommit=False,
    )
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return connection


@dataclass(frozen=True, slots=True)
class Task:
    """What a peer has to do: the sale item, and of each table an INSERT and one row per order."""

    item: int
    inserts: list[tuple[str, list[tuple[Any, ...]]]]

    @property
    def count(self) -> int:
        return len(self.inserts[0][1])

    def rows(self, at: int) -> list[tuple[str, tuple[Any, ...]]]:
        """The statements of one order."""
        return [(insert, rows[at]) for insert, rows in self.inserts]


def prepare(connection: Connection, source: str, target: str, count: int) -> Task:
    """Read what the drain wrote for `source` and rename it for `target`."""
    with connection.cursor() as cursor:
        items = {}
        for sale_id in (source, target):
            cursor.execute("SELECT sale_item_id FROM sale_items WHERE sale_id = %s", (sale_id,))
            items[sale_id] = cursor.fetchone()[0]  # type: ignore[index]
        inserts = []
        for table in TABLES:
            columns = [column.name for column in table.columns if column.autoincrement is not True]
            marks = ", ".join(["%s"] * len(columns))
            insert = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"
            rows = _written(cursor, table, columns, source, count)
            rename = _Renaming(source, target, items)
            inserts.append((insert, [rename.row(columns, row, at) for at, row in enumerate(rows, 1)]))
    connection.rollback()
    assert {len(rows) for _, rows in inserts} == {count}, (
        "the drain wrote other rows than one of each per order"
    )
    return Task(items[target], inserts)


def _written(
    cursor: Any, table: Table, columns: Sequence[str], source: str, count: int
) -> list[tuple[Any, ...]]:
    """The table's rows of the first `count` orders, in the order of their decision."""
    key = "dedupe" if table is outbox else "order_id"
    found: dict[str, tuple[Any, ...]] = {}
    ids = [order_id(source, number) for number in range(1, count + 1)]
    names = [f"mail:{one}:reserved" for one in ids] if table is outbox else ids
    at = columns.index(key)
    for first in range(0, count, CHUNK):
        chunk = names[first : first + CHUNK]
        marks = ", ".join(["%s"] * len(chunk))
        cursor.execute(f"SELECT {', '.join(columns)} FROM {table.name} WHERE {key} IN ({marks})", chunk)
        found |= {row[at]: row for row in cursor}
    return [found[name] for name in names]


@dataclass(frozen=True, slots=True)
class _Renaming:
    source: str
    target: str
    items: dict[str, int]

    def row(self, columns: Sequence[str], row: Sequence[Any], seq: int) -> tuple[Any, ...]:
        return tuple(self._value(name, value, seq) for name, value in zip(columns, row, strict=True))

    def _value(self, column: str, value: Any, seq: int) -> Any:
        if column == "sale_item_id":
            return self.items[self.target]
        if not isinstance(value, str):
            return value
        value = value.replace(order_id(self.source, seq), order_id(self.target, seq))
        return value.replace(jti(self.source, seq), jti(self.target, seq)).replace(self.source, self.target)


# ---------------------------------------------------------------- the ways


def with_row_lock(connection: Connection, task: Task, at: int) -> None:
    """One order in one transaction, the stock's row locked first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT allotted - held - sold FROM sale_items WHERE sale_item_id = %s FOR UPDATE", (task.item,)
        )
        if cursor.fetchone()[0] < 1:  # type: ignore[index]
            raise AssertionError("sold out")
        cursor.execute(
            "UPDATE sale_items SET held = held + 1, version = version + 1 WHERE sale_item_id = %s",
            (task.item,),
        )
        for insert, row in task.rows(at):
            cursor.execute(insert, row)
    connection.commit()


def _under_lock(connection: Connection, task: Task, at: int) -> None:
    """Read, check, increment, write: somebody else keeps everybody out meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT allotted, held, sold FROM sale_items WHERE sale_item_id = %s", (task.item,))
        allotted, held, sold = cursor.fetchone()  # type: ignore[misc]
        if held + sold >= allotted:
            raise AssertionError("sold out")
        cursor.execute(
            "UPDATE sale_items SET held = %s, version = version + 1 WHERE sale_item_id = %s",
            (held + 1, task.item),
        )
        for insert, row in task.rows(at):
            cursor.execute(insert, row)
    connection.commit()


_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', KEYS[1] .. ':free', '1')
end
"""


class AnnouncedLock:
    """A distributed lock as the well-known libraries build it: SET NX PX, and pub/sub that wakes one waiter per process."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self._client = client
        self._name = name
        self._release = client.register_script(_RELEASE)
        self._freed = threading.Semaphore(0)
        self._heard = client.pubsub(ignore_subscribe_messages=True)
        self._heard.subscribe(**{f"{name}:free": lambda _message: self._freed.release()})
        self._heard.run_in_thread(sleep_time=1.0, daemon=True)  # the time-out of a blocking read

    def take(self) -> str:
        """Wait for the lock; the token that releases it."""
        token = secrets.token_hex(8)
        while not self._client.set(self._name, token, nx=True, px=LOCK_MS):
            self._freed.acquire(timeout=LOCK_MS / 1000)
        return token

    def release(self, token: str) -> None:
        """Let go, and tell the others."""
        self._release(keys=[self._name], args=[token])


def _by_announced_lock(client: redis.Redis, task: Task) -> Callable[[Connection, int], None]:
    lock = AnnouncedLock(client, f"lock:{task.item}")

    def one(connection: Connection, at: int) -> None:
        token = lock.take()
        try:
            _under_lock(connection, task, at)
        finally:
            lock.release(token)

    return one


def _by_polled_lock(client: redis.Redis, task: Task, sleep_s: float) -> Callable[[Connection, int], None]:
    def one(connection: Connection, at: int) -> None:
        with client.lock(f"lock:{task.item}", timeout=LOCK_MS / 1000, sleep=sleep_s):
            _under_lock(connection, task, at)

    return one


def _ceiling(connection: Connection, task: Task) -> None:
    for first in range(0, task.count, CHUNK):
        with connection.cursor() as cursor:
            for insert, rows in task.inserts:
                cursor.executemany(insert, rows[first : first + CHUNK])
        connection.commit()


# ---------------------------------------------------------------- running one


def _in_threads(
    database_url: str, count: int, per_second: float, one: Callable[[Connection, int], None]
) -> Iterator[float]:
    """Take all orders by 8 threads; yields the seconds that each took."""
    numbers = itertools.count()
    times: list[float] = [0.0] * count
    connections = [connect(database_url) for _ in range(THREADS)]
    began = time.perf_counter()

    def work(connection: Connection) -> None:
        while (at := next(numbers)) < count:
            arrived = time.perf_counter()
            if per_second:
                due = began + at / per_second
                time.sleep(max(0.0, due - arrived))
                arrived = due
            one(connection, at)
            times[at] = time.perf_counter() - arrived

    threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield from times


def main() -> None:
    way, database_url, redis_url, source, target, words, *more = sys.argv[1:]
    connection = connect(database_url)
    task = prepare(connection, source, target, int(words))
    client = redis.Redis.from_url(redis_url)
    began = time.perf_counter()
    times: list[float] = []
    if way == "ceiling":
        _ceiling(connection, task)
    else:
        ways: dict[str, Callable[[Connection, int], None]] = {
            "lock": _by_announced_lock(client, task),
            "lock-10ms": _by_polled_lock(client, task, 0.01),
            "lock-100ms": _by_polled_lock(client, task, 0.1),
            "row-lock": lambda connection, at: with_row_lock(connection, task, at),
        }
        times = list(_in_threads(database_url, task.count, float(more[0]) if more else 0.0, ways[way]))
    rate = task.count / (time.perf_counter() - began)
    assert all(times), "an order failed"
    spread = {"p50_ms": quantile(times, 0.5) * 1000, "p99_ms": quantile(times, 0.99) * 1000} if times else {}
    print(json.dumps({"rate": rate, **spread}), flush=True)


if __name__ == "__main__":
    main()

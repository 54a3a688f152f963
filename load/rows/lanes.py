"""How fast a lane is decided, against other ways to take the same orders.

The lane holds its entries already; the clock runs from the first doorbell until the last result is published and the lane is
empty. Everything in between is real: RQ's worker, the forked work-horse, the transactions, the letters, the published results.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial

import redis
from rq import Queue
from sqlalchemy import func, select

from firstcome import clients
from load.figures import Figure, interleave, median_ratio, middle, shown
from load.peers import jobs
from load.peers.orders import Task, connect, jti, order_id, prepare
from load.stage import PRODUCT, Stage, await_true, stage
from shop.orders.entry import EntryLine, OrderEntry, encode_entry
from shop.sales.reading import Sale
from shop.storage.tables import accounts, orders
from waiting_room.keys import SaleKeys
from workers.doorbell import Doorbell

ORDERS = 20_000
# So many that each way takes a second or two; a rate needs no more.
LOCK_ORDERS, POLLING_ORDERS, ROW_LOCK_ORDERS, JOBS = 1_000, 300, 3_000, 120


def against_other_ways(scale: float = 1.0) -> Iterator[Figure]:
    """One lane against a lock per product, a row lock, a job per order, and the bare inserts."""
    count = max(500, int(ORDERS * scale))
    with stage(serve_workers=1) as here:
        people(here, count)
        here.run("work", "--queue", "lanes")
        here.child(
            "load.peers.jobs",
            environment={**here.environment, "FIRSTCOME_RQ_REDIS_URL": here.settings.rq_redis_url},
        )
        drained(here, [lane_of(here, 500)])
        pattern = lane_of(here, count)
        drained(here, [pattern])
        runs = interleave(
            {
                "lane": lambda: drained(here, [lane_of(here, count)]),
                "lock": lambda: peer(here, "lock", pattern, scaled(LOCK_ORDERS, scale))["rate"],
                "row lock": lambda: peer(here, "row-lock", pattern, scaled(ROW_LOCK_ORDERS, scale))["rate"],
                "job": lambda: job_per_order(here, pattern, scaled(JOBS, scale)),
                "ceiling": lambda: peer(here, "ceiling", pattern, count)["rate"],
            }
        )
        lane = f"{shown(middle(runs['lane']))} orders/s through the lane"
        yield _figure(
            "lane_vs_lock", runs, "lock", 10, lane + f" against {{}}, {_polling(here, pattern, scale)}"
        )
        yield _figure("lane_vs_row_lock", runs, "row lock", 4, lane + " against {}, 8 connections")
        yield _figure(
            "lane_vs_job_per_order", runs, "job", 40, lane + " against {}, pool of 2 forking workers"
        )
        yield _figure("lane_vs_ceiling", runs, "ceiling", 0.5, lane + " against {} by bare multi-row INSERTs")


def two_against_one(scale: float = 1.0) -> Iterator[Figure]:
    """Two lanes with two workers against one lane, the same number of orders in all."""
    count = max(500, int(ORDERS * scale))
    with stage() as here:
        people(here, count)
        here.run("work", "--queue", "lanes")
        drained(here, [lane_of(here, 500)])
        runs = interleave(
            {
                "two": lambda: drained(here, [lane_of(here, count // 2), lane_of(here, count // 2)]),
                "one": lambda: drained(here, [lane_of(here, count)]),
            }
        )
        yield Figure(
            "two_lanes_vs_one",
            median_ratio(runs["two"], runs["one"]),
            "ratio",
            1.1,
            "higher",
            f"{shown(middle(runs['two']))} orders/s against {shown(middle(runs['one']))}, two workers, "
            "database and Redis on the same processors",
        )


# ---------------------------------------------------------------- the lane


def people(here: Stage, count: int) -> None:
    """Accounts that may buy; one of them per order."""
    now = here.db_now
    for first in range(0, count, 5_000):
        rows = [
            {"account_id": account(number), "created_at": now}
            for number in range(first, min(first + 5_000, count))
        ]
        here.db.run(lambda tx, rows=rows: tx.insert(accounts, rows))


def account(number: int) -> str:
    """The buyer of the order of that number."""
    return f"buyer{number}"


def lane_of(here: Stage, count: int) -> Sale:
    """A fresh sale with so many orders of one unit waiting in its lane."""
    sale = here.open_sale()
    lane = SaleKeys(sale.sale_id).lane
    entries = [_entry(sale, number) for number in range(1, count + 1)]
    for first in range(0, count, 5_000):
        here.redis.rpush(lane, *entries[first : first + 5_000])
    return sale


def _entry(sale: Sale, number: int) -> bytes:
    now_ms = int(time.time() * 1000)
    return encode_entry(
        OrderEntry(
            order_id=order_id(sale.sale_id, number),
            sale_id=sale.sale_id,
            account_id=account(number - 1),
            pass_jti=jti(sale.sale_id, number),
            pass_exp_ms=now_ms + 3_600_000,
            lines=[EntryLine(product_id=PRODUCT, quantity=1)],
            address_id=None,
            fingerprint="x" * 24,
            accepted_no=number,
            accepted_at_ms=now_ms,
        )
    )


def drained(here: Stage, sales: Sequence[Sale]) -> float:
    """Ring for these lanes and wait until all is decided, published and off the lane; orders/s."""
    lanes = [SaleKeys(sale.sale_id).lane for sale in sales]
    count = sum(here.redis.llen(lane) for lane in lanes)
    client = clients.rq_redis(here.settings.rq_redis_url)
    doorbell = Doorbell(client)
    began = time.perf_counter()
    for sale in sales:
        doorbell.ring(sale.sale_id)
    await_true(lambda: not here.redis.exists(*lanes), "the lanes are decided", 120, look_every_s=0.005)
    took_s = time.perf_counter() - began
    client.close()
    assert sum(_reserved(here, sale) for sale in sales) == count, "not every order was reserved"
    return count / took_s


def _reserved(here: Stage, sale: Sale) -> int:
    mine = (orders.c.sale_id == sale.sale_id) & (orders.c.state == "reserved")
    return int(here.db.read(lambda tx: tx.scalar(select(func.count()).select_from(orders).where(mine))))


# ---------------------------------------------------------------- its peers


def peer(here: Stage, way: str, pattern: Sale, count: int, per_second: float = 0) -> dict[str, float]:
    """Run one way of `load.peers.orders` in a process of its own; its report."""
    words = [here.settings.database_url, here.settings.redis_url, pattern.sale_id, here.open_sale().sale_id]
    command = [sys.executable, "-m", "load.peers.orders", way, *words, str(count), str(per_second)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def job_per_order(here: Stage, pattern: Sale, count: int) -> float:
    """Give every order a job of its own; orders/s from the first job to the last commit."""
    sale = here.open_sale()
    connection = connect(here.settings.database_url)
    whole = prepare(connection, pattern.sale_id, sale.sale_id, count)
    connection.close()
    tasks = [
        Task(whole.item, [(insert, [rows[at]]) for insert, rows in whole.inserts]) for at in range(count)
    ]
    client = redis.Redis.from_url(here.settings.rq_redis_url)
    queue = Queue(jobs.QUEUE, connection=client)
    began = time.perf_counter()
    queue.enqueue_many([Queue.prepare_data(jobs.take_order, args=(task,), result_ttl=0) for task in tasks])
    await_true(partial(_all_reserved, here, sale, count), "every job is done", 120, look_every_s=0.02)
    took_s = time.perf_counter() - began
    client.close()
    return count / took_s


def _all_reserved(here: Stage, sale: Sale, count: int) -> bool:
    return _reserved(here, sale) == count


def _polling(here: Stage, pattern: Sale, scale: float) -> str:
    """What waiters that poll do, for information."""
    count = scaled(POLLING_ORDERS, scale)
    rates = [
        f"{shown(peer(here, f'lock-{ms}ms', pattern, count)['rate'])} polling every {ms} ms"
        for ms in (10, 100)
    ]
    return "waiters woken by pub/sub (" + ", ".join(rates) + ")"


def _figure(name: str, runs: dict[str, list[float]], other: str, goal: float, detail: str) -> Figure:
    against = f"{shown(middle(runs[other]))}/s"
    return Figure(
        name, median_ratio(runs["lane"], runs[other]), "ratio", goal, "higher", detail.replace("{}", against)
    )


def scaled(count: int, scale: float) -> int:
    """A part of a count, but some."""
    return max(20, int(count * min(1.0, scale)))

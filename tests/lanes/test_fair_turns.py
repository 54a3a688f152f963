"""Many sales over workers of several hosts: a busy lane gives way after its slice, and in each lane the order stays."""

from __future__ import annotations

import pytest
import redis
from sqlalchemy import select

from firstcome.servers import PrivateRedis
from shop.orders.entry import encode_entry
from shop.storage.database import Database
from shop.storage.tables import orders
from tests.conftest import empty
from tests.lanes.floor import WorkersAtWork, entry, eventually, open_sale
from waiting_room.keys import SaleKeys
from workers.doorbell import Doorbell

BUSY = ("busy000001", "busy000002")
QUIET = tuple(f"quiet00000{number}" for number in range(4))
ORDERS = {**dict.fromkeys(BUSY, 1_000), **dict.fromkeys(QUIET, 5)}


@pytest.fixture
def database_url(mariadb_url: str) -> str:
    """One kind of server: this is about turns, not about databases."""
    empty(mariadb_url)
    return mariadb_url


def test_as_many_busy_lanes_as_workers_keep_nobody_else_waiting(
    redis_server: PrivateRedis,
    redis_sync: redis.Redis,
    rq_redis: redis.Redis,
    db: Database,
    database_url: str,
) -> None:
    bell = Doorbell(rq_redis)
    for sale_id, count in ORDERS.items():
        open_sale(db, units=count, buyers=count, sale_id=sale_id)
        redis_sync.rpush(SaleKeys(sale_id).lane, *entries(sale_id, count))
        bell.ring(sale_id)

    def waiting(*sale_ids: str) -> int:
        return sum(redis_sync.llen(SaleKeys(sale_id).lane) for sale_id in sale_ids)

    with (
        WorkersAtWork(redis_server.url, database_url, processes=1, batch_max=1, slice_s=1),
        WorkersAtWork(redis_server.url, database_url, processes=1, batch_max=1, slice_s=1),
    ):
        eventually(lambda: waiting(*QUIET) == 0, "the quiet lanes are decided", 30)
        assert all(waiting(sale_id) for sale_id in BUSY), "before either of the busy ones is empty"

    for sale_id in ORDERS:
        decided = select(orders.c.order_id, orders.c.seq).where(orders.c.sale_id == sale_id)
        rows = db.read(lambda tx, query=decided: tx.all(query.order_by(orders.c.seq)))
        assert [tuple(row) for row in rows] == [(name(sale_id, n), n + 1) for n in range(len(rows))]
        assert len(rows) == ORDERS[sale_id] - waiting(sale_id)


def name(sale_id: str, number: int) -> str:
    return f"{sale_id}-{number:04}"


def entries(sale_id: str, count: int) -> list[bytes]:
    made = [
        entry(n, sale_id=sale_id, order_id=name(sale_id, n), pass_jti=f"{sale_id}.{n}") for n in range(count)
    ]
    return [encode_entry(one) for one in made]

"""Copies in Redis: complete, never overwritten by an older one, gone some time after the sale."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import permutations

import pytest
import redis

from firstcome import clients
from firstcome.servers import EmbeddedRedis, PrivateRedis
from shop.orders.rules import Ended, OrderOutcome
from shop.sales.publication import SalePublication, read_publication
from shop.stock.publication import ItemStock, StockPublication
from shop.storage.database import Database
from tests.lanes.floor import KEYS, SALE, accept, open_sale, runtime
from waiting_room.keys import SaleKeys
from waiting_room.window import SaleSettings
from workers.drain import drain
from workers.publish import announce_outcomes, publish_sale, publish_stock


@pytest.fixture
def published(db: Database) -> SalePublication:
    open_sale(db, units=7, buyers=1)
    return read_publication(db, SALE)


def stock(version: int) -> StockPublication:
    return StockPublication(SALE, version, (ItemStock("seat", 10, version, 0, 2),))


def test_a_published_sale_is_what_the_room_and_the_lane_read(
    redis_sync: redis.Redis, published: SalePublication
) -> None:
    publish_sale(redis_sync, published)

    settings = SaleSettings.from_fields(redis_sync.hgetall(KEYS.settings))
    assert (settings.control, settings.hold_ms, settings.over_call_limit) == ("running", 600_000, 1.0)
    assert redis_sync.hgetall(KEYS.stock) == {
        "version": "0",
        "allotted": "7",
        "held": "0",
        "sold": "0",
        "item:seat": "7:0:0:2",
    }
    assert redis_sync.exists(KEYS.lane_open)


def test_older_settings_never_replace_newer_ones(redis_sync: redis.Redis, published: SalePublication) -> None:
    newer = dataclasses.replace(
        published, sale=dataclasses.replace(published.sale, version=5, calls_per_minute=42)
    )

    publish_sale(redis_sync, newer)
    publish_sale(redis_sync, published)

    assert redis_sync.hmget(KEYS.settings, "version", "calls_per_minute") == ["5", "42"]


def test_acceptance_is_counted_on_after_redis_was_emptied_and_never_back(
    redis_sync: redis.Redis, redis_server: PrivateRedis, database_url: str, db: Database
) -> None:
    open_sale(db, units=7, buyers=3)
    work = runtime(redis_server.url, database_url)
    accept(redis_sync, range(3))  # numbers 1 to 3
    drain(work, SALE)
    redis_sync.flushall()

    publish_sale(redis_sync, read_publication(db, SALE))
    assert redis_sync.get(KEYS.lane_accepted) == "3"

    redis_sync.set(KEYS.lane_accepted, 8)  # accepted and not decided yet
    publish_sale(redis_sync, read_publication(db, SALE))
    assert redis_sync.get(KEYS.lane_accepted) == "8"
    work.db.dispose()


def test_what_a_newer_copy_lacks_is_gone(redis_sync: redis.Redis) -> None:
    publish_stock(redis_sync, stock(1))
    publish_stock(redis_sync, StockPublication(SALE, 2, (ItemStock("box", 1, 0, 0, 1),)))

    assert [key for key in redis_sync.hkeys(KEYS.stock) if key.startswith("item:")] == ["item:box"]


@pytest.fixture(params=["installed", "embedded"])
def store(
    request: pytest.FixtureRequest, redis_server: PrivateRedis, embedded_server: EmbeddedRedis
) -> Iterator[redis.Redis]:
    server = redis_server if request.param == "installed" else embedded_server
    client = clients.redis_sync(server.url)
    client.flushall()
    yield client
    client.close()


def test_whatever_the_order_of_arrival_the_newest_copy_of_the_stock_stands(store: redis.Redis) -> None:
    for versions in permutations((9, 10, 11)):
        store.delete(KEYS.stock)
        for version in versions:
            publish_stock(store, stock(version))
        assert store.hmget(KEYS.stock, "version", "held") == ["11", "11"]


def test_everything_of_a_sale_is_forgotten_a_month_after_its_last_publication(
    redis_sync: redis.Redis, published: SalePublication
) -> None:
    redis_sync.zadd(KEYS.line, {"ticket": 1})
    redis_sync.set(KEYS.lease, "token", px=1500)
    redis_sync.set(KEYS.lane_bell, "1", px=1000)

    publish_sale(redis_sync, published)

    for key in (KEYS.settings, KEYS.stock, KEYS.line, KEYS.lane_open):
        assert 29 * 86_400 < redis_sync.ttl(key) <= 30 * 86_400
    assert redis_sync.pttl(KEYS.lease) <= 1500
    assert redis_sync.pttl(KEYS.lane_bell) <= 1000


def test_every_room_hears_of_its_own_orders_only(redis_sync: redis.Redis) -> None:
    other = SaleKeys("sale000002")
    announce_outcomes(
        redis_sync,
        [
            Ended(SALE, "order1", "t1.1", OrderOutcome.REJECTED),
            Ended("sale000002", "order2", "t2.1", OrderOutcome.PAID),
            Ended(SALE, "order3", "t3.2", OrderOutcome.ENDED),
        ],
    )

    assert redis_sync.lrange(KEYS.outcomes, 0, -1) == ["t1.1 rejected", "t3.2 ended"]
    assert redis_sync.lrange(other.outcomes, 0, -1) == ["t2.1 paid"]

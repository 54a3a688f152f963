"""Copies in Redis that are not what the database says: named field by field, and laid anew."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from shop.sales.publication import read_publication
from shop.storage.database import Database
from tests.lanes.floor import KEYS, SALE, open_sale
from workers.copies import mend_copies
from workers.publish import publish_sale


@pytest.fixture
def sound(db: Database, redis_sync: redis.Redis) -> dict[Any, Any]:
    """The copy of the stock of a published sale."""
    open_sale(db, units=7, buyers=1)
    publish_sale(redis_sync, read_publication(db, SALE))
    assert mend_copies(db, redis_sync) == []
    return redis_sync.hgetall(KEYS.stock)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"allotted": "9"}, [("allotted", "9", "7")]),
        ({"item:seat": "9:0:0:2", "item:box": "1:0:0:1"}, [("item:box", "1:0:0:1", "nothing"), ("item:seat", "9:0:0:2", "7:0:0:2")]),
        ({"version": "4", "held": "7"}, [("held", "7", "0"), ("version", "4", "0")]),
        ({"version": "?"}, [("version", "?", "0")]),
    ],
)  # fmt: skip
def test_a_copy_of_the_stock_that_is_wrong_or_ahead_of_the_database_is_named_and_laid_anew(
    db: Database,
    redis_sync: redis.Redis,
    sound: dict[Any, Any],
    fields: dict[Any, Any],
    named: list[tuple[str, str, str]],
) -> None:
    redis_sync.hset(KEYS.stock, mapping=fields)

    found = mend_copies(db, redis_sync)

    assert [(one.row, one.field, one.found, one.expected) for one in found] == [
        (KEYS.stock, *one) for one in named
    ]
    assert redis_sync.hgetall(KEYS.stock) == sound
    assert redis_sync.ttl(KEYS.stock) > 0
    assert mend_copies(db, redis_sync) == []


def test_a_setting_that_is_missing_or_changed_is_laid_anew(
    db: Database, redis_sync: redis.Redis, sound: dict[Any, Any]
) -> None:
    redis_sync.hdel(KEYS.settings, "control")
    redis_sync.hset(KEYS.settings, "capacity", "100000")

    assert [(one.field, one.found, one.expected) for one in mend_copies(db, redis_sync)] == [
        ("capacity", "100000", "100"),
        ("control", "missing", "running"),
    ]
    assert redis_sync.hmget(KEYS.settings, "capacity", "control") == ["100", "running"]
    assert redis_sync.hgetall(KEYS.stock) == sound


def test_an_older_copy_and_a_missing_one_are_left_to_the_sweeper(
    db: Database, redis_sync: redis.Redis, sound: dict[Any, Any]
) -> None:
    redis_sync.hset(KEYS.stock, mapping={"version": "-1", "held": "3"})
    assert [one.field for one in mend_copies(db, redis_sync)] == ["held", "version"]
    redis_sync.delete(KEYS.stock, KEYS.settings)
    assert mend_copies(db, redis_sync) == []
    assert sound
    assert not redis_sync.exists(KEYS.stock, KEYS.settings)

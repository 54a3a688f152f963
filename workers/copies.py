"""Comparing the copies in Redis with the database they were made from, and laying anew those that are not what they should be.

A copy that is merely older is no fault: the sweeper lays the next one within seconds. One that says something else under the same
version was tampered with; one that is ahead of the database remains of a database that was restored from a backup, and nothing
would ever replace it. Changes nothing but copies. Functions raise redis-py's RedisError and `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import redis

from shop.sales.publication import read_publication
from shop.sales.reading import live_sale_ids
from shop.stock.mismatch import Mismatch
from shop.stock.publication import read_stock
from shop.storage.database import Database
from waiting_room.keys import SaleKeys
from workers import scripts
from workers.publish import KEEP_S

_Fields = Mapping[str, str | int]
_TRIES = 5


def mend_copies(db: Database, client: redis.Redis) -> list[Mismatch]:
    """Lay anew every wrong copy of a live sale's settings and stock; what was wrong about them. Missing ones are the sweeper's."""

    def settings(sale_id: str) -> _Fields:
        return read_publication(db, sale_id).settings()

    def stock(sale_id: str) -> _Fields:
        return db.read(read_stock, sale_id).fields()

    return [
        mismatch
        for sale_id in live_sale_ids(db)
        for key, fields in ((SaleKeys(sale_id).settings, settings), (SaleKeys(sale_id).stock, stock))
        for mismatch in _mend(client, key, sale_id, fields)
    ]


def _mend(client: redis.Redis, key: str, sale_id: str, read: Callable[[str], _Fields]) -> Iterator[Mismatch]:
    for _ in range(_TRIES):
        with client.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)  # type: ignore[no-untyped-call]
            # In this order: a sound copy that is read first can only be as old as what the database says then, or older.
            found: dict[str, str] = pipeline.hgetall(key)  # type: ignore[assignment]
            fields = read(sale_id)
            wrong = list(_differences(key, found, {name: str(value) for name, value in fields.items()}))
            if not wrong:
                return
            pipeline.multi()
            pipeline.delete(key)
            words = [word for name, value in fields.items() if name != "version" for word in (name, value)]
            lay = client.register_script(scripts.source("lay"))
            lay(keys=[key], args=[fields["version"], *words], client=pipeline)
            pipeline.expire(key, KEEP_S)
            try:
                pipeline.execute()
            except redis.WatchError:
                continue  # a publisher was faster; look at what it laid
            yield from wrong
            return


def _differences(key: str, found: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Mismatch]:
    if not found or _is_older(found, right):
        return
    for field in sorted({*found, *right}):
        here, there = found.get(field, "missing"), right.get(field, "nothing")
        if here != there:
            yield Mismatch("redis", key, field, here, there, "the database")


def _is_older(found: Mapping[str, str], right: Mapping[str, str]) -> bool:
    version = found.get("version", "")
    return version.isdecimal() and int(version) < int(right["version"])

"""Copies of the truth, laid into Redis for the waiting room and the lanes, and word of orders that have ended.

Called right after a commit by whoever committed, and again by the sweeper every few seconds. A copy carries its version, and
an older one never replaces a newer one, so that publishers need not agree with each other. Functions raise redis-py's
RedisError. Knows which keys there are, not what they mean to the room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import redis
from redis.client import Pipeline

from shop.orders.rules import Ended
from shop.sales.publication import SalePublication
from shop.stock.publication import StockPublication
from waiting_room.keys import SaleKeys
from workers import scripts

# A sale that is not published any more leaves nothing behind after this time.
KEEP_S = 30 * 24 * 3600
# How long the receipts of lost orders are collected before a lane opens again.
COLLECT_MS = 10_000
_WITH_A_LIFE_OF_THEIR_OWN = {"lease", "lane_bell"}
_KEPT = [
    name
    for name, member in vars(SaleKeys).items()
    if isinstance(member, property) and name not in _WITH_A_LIFE_OF_THEIR_OWN
]


def publish_sale(client: redis.Redis, publication: SalePublication) -> None:
    """Lay a sale's settings and stock, open its lane, and keep everything of it for another while; all in one step.

    A lane that lost its orders opens by and by, once their receipts had `COLLECT_MS` to come back. Acceptance is counted on from what
    was decided, so that orders accepted after a loss do not look older than those before it.
    """
    keys = SaleKeys(publication.sale_id)
    pipeline = client.pipeline(transaction=True)
    _lay(client, pipeline, keys.settings, publication.settings())
    _lay(client, pipeline, keys.stock, publication.stock.fields())
    open_lane = client.register_script(scripts.source("open_lane"))
    open_lane(
        keys=[
            *(keys.lane_open, keys.lane_recovery, keys.lane_returned),
            *(keys.lane, keys.lane_accepted, keys.room),
        ],
        args=[publication.accepted_no, int(publication.first), COLLECT_MS],
        client=pipeline,
    )
    for name in _KEPT:
        pipeline.expire(getattr(keys, name), KEEP_S)
    pipeline.execute()


def publish_stock(client: redis.Redis, stock: StockPublication) -> None:
    """Lay the copy of a sale's stock."""
    _lay(client, client, SaleKeys(stock.sale_id).stock, stock.fields())


def announce_outcomes(client: redis.Redis, ended: Iterable[Ended]) -> None:
    """Tell the rooms which orders have ended; the next tick of each frees their slots. Telling it twice is harmless."""
    words: dict[str, list[str]] = {}
    for one in ended:
        words.setdefault(one.sale_id, []).append(f"{one.jti} {one.outcome}")
    if not words:
        return
    pipeline = client.pipeline(transaction=False)
    for sale_id, outcomes in words.items():
        pipeline.rpush(SaleKeys(sale_id).outcomes, *outcomes)
    pipeline.execute()


def _lay(
    client: redis.Redis, where: redis.Redis | Pipeline, key: str, fields: Mapping[str, str | int]
) -> Any:
    rest = [word for name, value in fields.items() if name != "version" for word in (name, value)]
    script = client.register_script(scripts.source("lay"))
    return script(keys=[key], args=[fields["version"], *rest], client=where)

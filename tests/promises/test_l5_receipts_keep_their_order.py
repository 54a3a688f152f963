"""L5, L6: Redis is emptied while hundreds of accepted orders wait. Receipts that are presented in time keep their order, later ones
stand at the end, and every one is decided exactly once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from firstcome import clients
from firstcome.servers import PrivateRedis
from shop.orders.entry import EntryLine, OrderEntry
from shop.sales.publication import read_publication
from shop.storage.database import Database
from tests.lanes.floor import KEYS, PRODUCT, SALE, decided, open_sale, runtime
from workers.drain import drain
from workers.lanes import Lanes, OrderDraft
from workers.publish import publish_sale
from workers.refusals import LaneRecovering
from workers.runtime import Runtime

ORDERS = 300
DECIDED = 60
LATE = 20
UNITS = 200
AT_ONCE = 10


@pytest.fixture
def work(
    redis_sync: redis.Redis,
    redis_server: PrivateRedis,
    database_url: str,
    db: Database,
) -> Iterator[Runtime]:
    open_sale(db, units=UNITS, buyers=ORDERS + 1)
    made = runtime(redis_server.url, database_url, slice_s=0.0, batch_max=DECIDED, batch_ms=60_000)
    yield made
    made.db.dispose()


@pytest.fixture
async def lanes(redis_server: PrivateRedis) -> AsyncIterator[Lanes]:
    client = clients.redis_async(redis_server.url)
    yield Lanes(client)
    await client.aclose()


def draft(number: int) -> OrderDraft:
    return OrderDraft(
        order_id=f"order{number * 7919 % 10_007:05}",  # ids say nothing of the order
        sale_id=SALE,
        account_id=f"account{number}",
        pass_jti=f"ticket{number}.1",
        pass_exp_ms=2_000_000_000_000,
        lines=[EntryLine(product_id=PRODUCT, quantity=1)],
        address_id=None,
        fingerprint="f",
    )


def confirm_room(client: redis.Redis) -> None:
    """What the leader leaves behind when it has confirmed the store."""
    run_id = client.info("server")["run_id"]
    client.hset(KEYS.room, mapping={"store_id": "s", "run_id": run_id, "clock_ms": 1_000})


def publish(work: Runtime) -> None:
    """A round of the sweeper."""
    publish_sale(work.redis, read_publication(work.db, SALE))


def let_time_pass(client: redis.Redis) -> None:
    """The time for receipts is over."""
    client.hset(KEYS.lane_recovery, "until_ms", 0)


async def test_receipts_in_time_keep_their_order_and_every_order_is_decided_once(
    work: Runtime, redis_sync: redis.Redis, lanes: Lanes, db: Database
) -> None:
    dice = random.Random(11)
    publish(work)
    confirm_room(redis_sync)
    entries = [(await lanes.accept(draft(number))).entry for number in range(ORDERS)]
    drain(work, SALE)
    assert len(decided(db)) == DECIDED

    redis_sync.flushall()
    publish(work)
    with pytest.raises(LaneRecovering):  # nobody knows yet who leads
        await lanes.restore(entries[-1])
    confirm_room(redis_sync)
    await restore(lanes, dice, entries[: ORDERS // 2])
    redis_sync.flushall()  # and once more, in the middle of it
    confirm_room(redis_sync)
    publish(work)
    late, in_time = entries[-2 * LATE :: 2], [*entries[: -2 * LATE], *entries[-2 * LATE + 1 :: 2]]
    await restore(lanes, dice, in_time)
    publish(work)
    with pytest.raises(LaneRecovering):
        await lanes.accept(draft(ORDERS))
    drain(work, SALE)
    assert len(decided(db)) == DECIDED, "a receipt that may be overtaken yet is not decided"

    let_time_pass(redis_sync)
    publish(work)
    new = (await lanes.accept(draft(ORDERS))).entry
    assert new.accepted_no > max(entry.accepted_no for entry in in_time)
    for entry in late:
        await restore(lanes, dice, [entry])
    assert (await lanes.accept(draft(7))).entry == entries[7], "the record is back, too"
    while redis_sync.llen(KEYS.lane):
        drain(work, SALE)

    told = [entry for entry in in_time if entry.accepted_no > DECIDED]
    expected = [*entries[:DECIDED], *told, new, *late]
    rows = decided(db)
    assert [row[0] for row in rows] == [entry.order_id for entry in expected]
    assert [row[1] for row in rows] == list(range(1, ORDERS + 2))
    assert [row[2] for row in rows] == ["reserved"] * UNITS + ["rejected"] * (ORDERS + 1 - UNITS)

    redis_sync.flushall()
    publish(work)
    assert int(str(redis_sync.get(KEYS.lane_accepted))) == new.accepted_no, "above all that were ever given"


async def restore(lanes: Lanes, dice: random.Random, entries: list[OrderEntry]) -> None:
    """Every receipt is shown once or twice, in any order, many at a time."""
    shown = [entry for entry in entries for _ in range(dice.randint(1, 2))]
    dice.shuffle(shown)
    for first in range(0, len(shown), AT_ONCE):
        await asyncio.gather(*(lanes.restore(entry) for entry in shown[first : first + AT_ONCE]))


async def test_passes_slots_and_bells_come_back_with_the_orders(
    work: Runtime, redis_sync: redis.Redis, lanes: Lanes
) -> None:
    publish(work)
    confirm_room(redis_sync)
    known, left, early, late = [(await lanes.accept(draft(number))).entry for number in range(4)]
    redis_sync.flushall()
    confirm_room(redis_sync)
    publish(work)
    served: dict[str, Any] = {"ticket0": "{}", "ticket1": "{}"}
    redis_sync.hset(KEYS.served, mapping=served)  # told again from the call log
    redis_sync.zadd(KEYS.shopping, {"ticket0": 5})
    redis_sync.hset(KEYS.passes, left.pass_jti, "left")

    assert not any([await lanes.restore(one) for one in (known, left, early)])
    assert redis_sync.zrange(KEYS.shopping, 0, -1) == []
    assert set(redis_sync.zrange(KEYS.ordering, 0, -1)) == {"ticket0", "ticket2"}
    marks = redis_sync.hgetall(KEYS.passes)
    assert marks == {known.pass_jti: known.order_id, left.pass_jti: "left", early.pass_jti: early.order_id}

    let_time_pass(redis_sync)
    publish(work)
    assert not redis_sync.exists(KEYS.lane_returned), "whoever came back has entered, and does so once"
    assert await lanes.restore(late), "a lane that is open rings"
    assert not await lanes.restore(late)
    assert await lanes.peek(SALE, late.order_id) == late


async def test_a_store_of_another_run_keeps_what_it_knows_in_front_and_collects_what_it_lost(
    work: Runtime, redis_sync: redis.Redis, lanes: Lanes
) -> None:
    publish(work)
    confirm_room(redis_sync)
    entries = [(await lanes.accept(draft(number))).entry for number in range(3)]
    # A server that came back without its last second: the mark names the run before.
    redis_sync.rpop(KEYS.lane)
    redis_sync.delete(KEYS.order(entries[2].order_id))
    redis_sync.set(KEYS.lane_open, "0" * 40)
    with pytest.raises(LaneRecovering):
        await lanes.accept(draft(3))

    publish(work)
    for entry in entries:
        await lanes.restore(entry)
    let_time_pass(redis_sync)
    publish(work)
    head = work.lanes.head(SALE, 10)
    assert head == entries
    assert (await lanes.accept(draft(3))).entry.accepted_no == 4

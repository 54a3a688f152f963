"""What callbacks settle is told to Redis by a thread that nobody waits for: all of it, once, and the newest stock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import redis

from gateway.announcing import Burst
from gateway.bells import Bells
from shop.orders.rules import Ended, OrderOutcome
from shop.payments.apply import Settled
from shop.payments.rules import Verdict
from shop.storage.database import Database
from tests.till import SALE, Till
from waiting_room.keys import SaleKeys
from workers.doorbell import Doorbell

KEYS = SaleKeys(SALE)
CALLBACKS = 200


def test_all_that_many_threads_settle_is_told_once_and_in_fewer_goes(
    db: Database, redis_sync: redis.Redis, rq_redis: redis.Redis
) -> None:
    till = Till(db).open()
    bells = Bells(Doorbell(rq_redis))
    burst = Burst(redis_sync, db, bells, burst_s=0.02)
    before = redis_sync.info("commandstats").get("cmdstat_rpush", {"calls": 0})["calls"]

    def settle(number: int) -> None:
        if number == CALLBACKS // 2:
            till.order()  # moves the stock in the middle of it all
        ended = Ended(SALE, f"order{number}", f"ticket{number}.1", OrderOutcome.PAID)
        burst.announce(Settled(Verdict.PAID, (ended,), (SALE,)))

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(settle, range(CALLBACKS)))
    burst.close(wait=True)
    bells.close()

    told = redis_sync.lrange(KEYS.outcomes, 0, -1)
    assert sorted(told) == sorted(f"ticket{number}.1 paid" for number in range(CALLBACKS))
    assert redis_sync.info("commandstats")["cmdstat_rpush"]["calls"] - before < CALLBACKS / 2
    assert redis_sync.hget(KEYS.stock, "held") == str(till.stock()[0])

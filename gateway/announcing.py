"""Telling Redis what the database has decided, right after the commit and best effort: the sweeper repairs what is missed.

Blocks; runs in threads. Decides nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import redis
import structlog
from redis.exceptions import RedisError

from shop.errors import ShopError
from shop.orders.rules import Ended
from shop.sales.publication import read_publication
from shop.stock.publication import read_stock
from workers.publish import announce_outcomes, publish_sale, publish_stock

if TYPE_CHECKING:
    from gateway.bells import Bells
    from gateway.services import Services
    from shop.payments.apply import Settled
    from shop.storage.database import Database

log = structlog.get_logger(__name__)

# A provider sends its callbacks in bursts, and what each of them changes is told in one go with the others'.
BURST_S = 0.05


def announce_sale(services: Services, sale_id: str) -> None:
    """A sale's settings or stock have changed."""
    try:
        publish_sale(services.redis_sync, read_publication(services.db, sale_id))
    except (RedisError, ShopError) as error:
        log.warning("sale_not_published", sale_id=sale_id, error=str(error))


def announce_ended(services: Services, ended: Iterable[Ended], sale_ids: Iterable[str]) -> None:
    """Orders have ended, and the stock of these sales has moved."""
    _tell(services.redis_sync, services.db, ended, sale_ids)


class Burst:
    """Tells what callbacks have settled from a thread of its own: the first at once, those of the next moment together.

    Nobody waits for it. What is not told, because the process died, is repaired by the sweeper.
    """

    def __init__(self, client: redis.Redis, db: Database, bells: Bells, *, burst_s: float = BURST_S) -> None:
        self._client, self._db, self._bells, self._burst_s = client, db, bells, burst_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="announcing")
        self._counting = threading.Lock()
        self._ended: list[Ended] = []
        self._sale_ids: set[str] = set()
        self._due = False
        self._closing = threading.Event()
        self._told_at = 0.0

    def announce(self, settled: Settled) -> None:
        """Have it told, and the outbox looked at."""
        with self._counting:
            if self._closing.is_set():
                return
            self._ended += settled.ended
            self._sale_ids.update(settled.sale_ids)
            if not self._due:
                self._due = True
                self._thread.submit(self._tell)

    def close(self, *, wait: bool = False) -> None:
        """Take nothing more. What was taken is told still, if the process lives on for it; with `wait` until it is."""
        with self._counting:
            self._closing.set()
        self._thread.shutdown(wait=wait)

    def _tell(self) -> None:
        self._closing.wait(max(0.0, self._told_at + self._burst_s - time.monotonic()))
        with self._counting:
            self._due = False  # before looking: whoever comes from now on is told by the next one
            ended, self._ended = self._ended, []
            sale_ids, self._sale_ids = self._sale_ids, set()
        try:
            _tell(self._client, self._db, ended, sale_ids)
        except Exception:  # nobody waits for this thread's answer
            log.exception("announcing_failed")
        if not self._closing.is_set():
            self._bells.outbox()
        self._told_at = time.monotonic()


def _tell(client: redis.Redis, db: Database, ended: Iterable[Ended], sale_ids: Iterable[str]) -> None:
    try:
        announce_outcomes(client, ended)
        for sale_id in sorted(set(sale_ids)):
            publish_stock(client, db.read(read_stock, sale_id))
    except (RedisError, ShopError) as error:
        log.warning("outcome_not_announced", error=str(error))

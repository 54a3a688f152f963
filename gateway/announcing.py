"""Telling Redis what the database has decided, right after the commit and best effort: the sweeper repairs what is missed.

Blocks; runs in threads. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from shop.errors import ShopError
from shop.orders.rules import Ended
from shop.sales.publication import read_publication
from shop.stock.publication import read_stock
from workers.publish import announce_outcomes, publish_sale, publish_stock

if TYPE_CHECKING:
    from gateway.services import Services

log = structlog.get_logger(__name__)


def announce_sale(services: Services, sale_id: str) -> None:
    """A sale's settings or stock have changed."""
    try:
        publish_sale(services.redis_sync, read_publication(services.db, sale_id))
    except (RedisError, ShopError) as error:
        log.warning("sale_not_published", sale_id=sale_id, error=str(error))


def announce_ended(services: Services, ended: Iterable[Ended], sale_ids: Iterable[str]) -> None:
    """Orders have ended, and the stock of these sales has moved."""
    try:
        announce_outcomes(services.redis_sync, ended)
        for sale_id in sorted(set(sale_ids)):
            publish_stock(services.redis_sync, services.db.read(read_stock, sale_id))
    except (RedisError, ShopError) as error:
        log.warning("outcome_not_announced", error=str(error))

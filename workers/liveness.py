"""Who is at work: RQ workers by queue, and how long ago a sweeper was last about. For people who watch; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from waiting_room.keys import SaleKeys
from workers.doorbell import QUEUE_LANES, QUEUE_OUTBOX
from workers.publish import KEEP_S

# A worker without work gives a sign of life every 5 s (`pool.WORKER_TTL_S`); one that is silent for so long is gone.
SILENT_S = 20


@dataclass(frozen=True, slots=True)
class Liveness:
    """Workers that gave a sign of life lately; `swept_ms`: since the sale's copies were last laid, None if they never were."""

    lanes: int
    outbox: int
    swept_ms: int | None


def liveness(client: redis.Redis, rq_client: redis.Redis, sale_id: str) -> Liveness | None:
    """Who works for a sale just now; None while Redis does not answer. `rq_client` must not decode replies."""
    try:
        return Liveness(
            _alive(rq_client, QUEUE_LANES), _alive(rq_client, QUEUE_OUTBOX), _swept_ms(client, sale_id)
        )
    except RedisError:
        return None


def _alive(client: redis.Redis, name: str) -> int:
    queue = Queue(name, connection=client, serializer=JSONSerializer)
    now = datetime.now(UTC)
    seen = [worker.last_heartbeat for worker in Worker.all(queue=queue, serializer=JSONSerializer)]
    return sum(1 for at in seen if at is not None and (now - at).total_seconds() < SILENT_S)


def _swept_ms(client: redis.Redis, sale_id: str) -> int | None:
    """Every laying of the copies lets them live for `KEEP_S` again: what is missing of it has passed since."""
    left_ms = int(client.pttl(SaleKeys(sale_id).settings))
    return max(0, KEEP_S * 1000 - left_ms) if left_ms > 0 else None

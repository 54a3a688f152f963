"""The two queues of RQ, and the doorbells in them: jobs that carry no order and only say where to look."""

from __future__ import annotations

import redis
import structlog
from redis.exceptions import RedisError
from rq import Queue, Retry
from rq.serializers import JSONSerializer

log = structlog.get_logger(__name__)

QUEUE_LANES = "lanes"
QUEUE_OUTBOX = "outbox"

# A doorbell is worth nothing later: the sweeper rings again every second or two.
DOORBELL_TTL_S = 60
DRAIN_TIMEOUT_S = 30
DELIVER_TIMEOUT_S = 150
DOORBELL_FAILURE_S = 3600
DOORBELL_RETRIES = 3


class Doorbell:
    """Wakes a worker for a lane. `client` is RQ's own: replies as bytes. Call it off the event loop."""

    def __init__(self, client: redis.Redis) -> None:
        self._lanes = Queue(QUEUE_LANES, connection=client, serializer=JSONSerializer)
        self._outbox = Queue(QUEUE_OUTBOX, connection=client, serializer=JSONSerializer)

    def ring(self, sale_id: str) -> bool:
        """Ring for one lane. Failing is no error, only False: the sweeper rings again where entries wait."""
        return self._enqueue(self._lanes, DRAIN_TIMEOUT_S, "workers.jobs.drain", sale_id)

    def others_wait(self) -> bool:
        """Whether doorbells wait for a worker. Raises redis-py's RedisError."""
        return self._lanes.count > 0

    def ring_outbox(self) -> bool:
        """Wake a worker for the outbox, unless one is on its way."""
        try:
            waiting = self._outbox.count
        except RedisError as error:
            log.warning("doorbell_failed", queue=QUEUE_OUTBOX, error=str(error))
            return False
        return waiting == 0 and self._enqueue(self._outbox, DELIVER_TIMEOUT_S, "workers.jobs.deliver")

    def _enqueue(self, queue: Queue, timeout_s: int, job: str, *args: str) -> bool:
        try:
            queue.enqueue(
                job,
                *args,
                job_timeout=timeout_s,
                ttl=DOORBELL_TTL_S,
                result_ttl=0,
                failure_ttl=DOORBELL_FAILURE_S,
                retry=Retry(max=DOORBELL_RETRIES),
            )
        except RedisError as error:
            log.warning("doorbell_failed", queue=queue.name, error=str(error))
            return False
        return True

"""Jobs that RQ has put aside as failed: for people who watch. None is lost by it, since jobs carry no orders; each is a fault to mend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from workers.doorbell import QUEUE_LANES, QUEUE_OUTBOX

MOST = 20


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that failed for good, and when."""

    job_id: str
    queue: str
    at: datetime


def failed_jobs(client: redis.Redis) -> list[FailedJob] | None:
    """At most `MOST` of each queue; None while Redis does not answer. `client` must not decode replies."""
    try:
        return [job for name in (QUEUE_LANES, QUEUE_OUTBOX) for job in _failed(client, name)]
    except RedisError:
        return None


def _failed(client: redis.Redis, name: str) -> list[FailedJob]:
    queue = Queue(name, connection=client, serializer=JSONSerializer)
    ids = FailedJobRegistry(queue=queue).get_job_ids(0, MOST - 1)
    jobs = Job.fetch_many(ids, connection=client, serializer=JSONSerializer)
    return [
        FailedJob(job.id, name, job.ended_at or job.enqueued_at or job.created_at)
        for job in jobs
        if job is not None
    ]

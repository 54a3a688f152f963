"""What RQ calls, by name. A job carries no order: it only says where to look."""

from __future__ import annotations

from rq import get_current_job

from workers import deliver as outbox
from workers import drain as lane
from workers.doorbell import DOORBELL_RETRIES
from workers.runtime import current


def drain(sale_id: str) -> None:
    """Decide what waits in one lane; with care if the last visit of this doorbell died."""
    lane.drain(current(), sale_id, careful=_is_retry())


def deliver() -> None:
    """Carry out what is due in the outbox."""
    outbox.deliver(current())


def _is_retry() -> bool:
    job = get_current_job()
    return job is not None and job.retries_left is not None and job.retries_left < DOORBELL_RETRIES

"""One visit to the outbox: carry out some of the effects that are due, ring again when more may wait."""

from __future__ import annotations

from datetime import timedelta

import structlog

from shop.errors import Unavailable
from shop.mail.effects import deliver_due
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

# A mail server may take 10 s for one letter; the job has to end within its timeout.
EFFECTS_A_JOB = 10


def deliver(runtime: Runtime) -> None:
    """Carry out up to `EFFECTS_A_JOB` effects. Without a database nothing happens: the sweeper rings again."""
    try:
        lease = timedelta(seconds=runtime.lease_s)
        done = deliver_due(runtime.db, runtime.vault, runtime.effects, limit=EFFECTS_A_JOB, lease=lease)
    except Unavailable as away:
        log.warning("outbox_waits", what=away.what)
        return
    if done == EFFECTS_A_JOB:
        runtime.doorbell.ring_outbox()

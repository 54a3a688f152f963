"""`firstcome work`: worker processes on one queue, kept at work by `workers.pool`."""

from __future__ import annotations

from functools import partial

from firstcome import wiring
from firstcome.settings import Settings
from workers.pool import run_workers


def run(settings: Settings, queue: str, processes: int | None) -> None:
    """Work until SIGTERM or SIGINT. `processes` None: as many as the settings say for this queue."""
    usual = {"lanes": settings.lane_workers, "outbox": settings.outbox_workers}
    run_workers(partial(wiring.runtime, settings), queue, processes or usual[queue])

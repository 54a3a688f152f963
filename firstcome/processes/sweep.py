"""`firstcome sweep`: the sweeper's rounds in a process of their own."""

from __future__ import annotations

from firstcome import wiring
from firstcome.settings import Settings
from workers.sweeper import run_sweeper


def run(settings: Settings) -> None:
    """Sweep until SIGTERM or SIGINT."""
    run_sweeper(wiring.runtime(settings))

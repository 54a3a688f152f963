"""Noticing that the `make` above us was told to stop.

Ctrl-C at a terminal reaches make and its recipe alike. A signal sent to make alone does not: on SIGINT it waits for the recipe
without passing the signal on, and when it is killed the recipe lives on. So a recipe that runs for long looks at its parent.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path


class MakeAbove:
    """The make that started this process."""

    def __init__(self) -> None:
        self._pid = os.getppid()

    def is_stopping(self) -> bool:
        """Whether it has ended or is waiting for us to end."""
        return os.getppid() != self._pid or self._handles_an_interrupt()

    def _handles_an_interrupt(self) -> bool:
        # While GNU make handles SIGINT the signal is blocked and its handler is taken off, which leaves the default. Linux shows that;
        # elsewhere we would wait for a second signal. Who ignores SIGINT is not stopping: it is blocked there for a moment with
        # every process that is started.
        try:
            status = Path(f"/proc/{self._pid}/status").read_text()
        except OSError:
            return False
        masks = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith("Sig"))
        bit = 1 << (signal.SIGINT - 1)
        blocked, caught, ignored = (
            bool(int(masks.get(name, "0"), 16) & bit) for name in ("SigBlk", "SigCgt", "SigIgn")
        )
        return blocked and not caught and not ignored

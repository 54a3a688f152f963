"""Processes that a benchmark starts, each in a group of its own and ended with it. Knows nothing of what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from firstcome.private_server import dying_with_parent

STOPPED_WITHIN_S = 10.0


class Child:
    """A Python module run as a process: `words` as after `python -m`. Use it as a context manager, or `stop()` it."""

    def __init__(
        self, *words: str, environment: Mapping[str, str] | None = None, log: Path, folder: Path | None = None
    ) -> None:
        self.words = words
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=dict(environment) if environment is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=folder,
                start_new_session=True,
                preexec_fn=dying_with_parent(),
            )

    def stop(self) -> None:
        """Ask it to end, then see to it; its whole group, since an orphan would go on answering on its port."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOPPED_WITHIN_S)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-800:]

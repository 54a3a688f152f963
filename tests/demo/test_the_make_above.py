"""When the process above counts as being told to stop."""

from __future__ import annotations

import subprocess
import sys

import pytest

ABOVE = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, getattr(signal, sys.argv[1]))
if sys.argv[2] == "blocked":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
sys.exit(subprocess.call([sys.executable, "-c", "from firstcome.parent import MakeAbove; print(MakeAbove().is_stopping())"]))
"""


@pytest.mark.parametrize(
    ("handler", "mask", "stopping"),
    [
        ("SIG_DFL", "blocked", True),  # as make does while it handles the signal
        ("SIG_DFL", "open", False),
        ("SIG_IGN", "blocked", False),  # started in the background, and starting a process just now
        ("SIG_IGN", "open", False),
        ("default_int_handler", "blocked", False),
    ],
)
def test_only_who_handles_an_interrupt_is_stopping(handler: str, mask: str, stopping: bool) -> None:
    command = [sys.executable, "-c", ABOVE, handler, mask]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert said.strip() == str(stopping)

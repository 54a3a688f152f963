"""Making sure that no process outlives the one that started it, not even when that one is killed -9.

On Linux the kernel sends the signal; elsewhere a thread watches the parent's pid. Knows nothing of what the process does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

WATCH_S = 1.0
_PR_SET_PDEATHSIG = 1

# Looked up at import: after a fork, loading libraries is not safe any more.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(parent_pid: int, signal_number: signal.Signals) -> None:
    """Send this process `signal_number` when the process `parent_pid`, its parent, ends. Call it right after the fork."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent_pid, signal_number), daemon=True).start()
    if os.getppid() != parent_pid:  # it ended before we had asked
        os.kill(os.getpid(), signal_number)


def _watch(parent_pid: int, signal_number: signal.Signals) -> None:
    never = threading.Event()
    while os.getppid() == parent_pid:
        never.wait(WATCH_S)
    os.kill(os.getpid(), signal_number)

"""Taking turns at a few connections, strictly in the order of asking.

A pool gives a connection that comes back to whoever asks first from then on, which under load is mostly the thread that has just
given it back: those that already wait for one may wait for seconds. Here it is handed to the one that has waited longest.
"""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """At most `places` threads are inside at a time."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[threading.Lock] = deque()
        self._counting = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def enter(self, within_s: float) -> bool:
        """Wait for a place; False when there was none in time."""
        with self._counting:
            if self._free > 0:  # then nobody waits: a place that comes back is handed on
                self._free -= 1
                return True
            call = threading.Lock()
            call.acquire()
            self._waiting.append(call)
        if call.acquire(timeout=within_s):
            return True
        with self._counting:
            if call not in self._waiting:
                return True  # called at the last moment
            self._waiting.remove(call)
            return False

    def leave(self) -> None:
        """Hand the place on."""
        with self._counting:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

"""Ringing for workers without waiting for it: one thread, and a bell that is about to ring is not rung twice.

A bell that is not heard is no error: the sweeper rings again. Knows no HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.doorbell import Doorbell


class Bells:
    """The doorbells of this process; safe to use from the event loop and from threads."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bells")
        self._due: set[str] = set()
        self._counting = threading.Lock()

    def lane(self, sale_id: str) -> None:
        """Somebody waits in this sale's lane."""
        self._ring(f"lane:{sale_id}", lambda: self._doorbell.ring(sale_id))

    def outbox(self) -> None:
        """Something lies in the outbox."""
        self._ring("outbox", self._doorbell.ring_outbox)

    def close(self) -> None:
        """Stop. A bell that was due is rung by the sweeper."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ring(self, name: str, ring: Callable[[], bool]) -> None:
        with self._counting:
            if name in self._due:
                return
            self._due.add(name)
        self._thread.submit(self._rung, name, ring)

    def _rung(self, name: str, ring: Callable[[], bool]) -> None:
        with self._counting:
            self._due.discard(name)  # before ringing: whoever comes from now on rings for itself
        ring()

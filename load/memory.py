"""The memory of every process of a running product at the start, in the middle and at the end of a run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

import psutil

EVERY_S = 1.0


class Memory:
    """Samples the resident memory of these processes while it is open as a context."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = {process.pid: process for process in processes}
        self._names = {process.pid: _name(process) for process in processes}
        self._samples: list[tuple[float, dict[int, int]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def as_text(self, orders: int) -> str:
        """A line per process that lived all the time: MiB at start, middle and end, and KiB of growth per decided order."""
        (_, first), (_, last) = self._samples[0], self._samples[-1]
        _, middle = self._samples[len(self._samples) // 2]
        lines = [f"  {'memory (MiB)':<34} {'start':>7} {'middle':>7} {'end':>7} {'KiB/order':>10}"]
        for pid in first:
            if pid in middle and pid in last:
                grown = (last[pid] - first[pid]) / 1024 / max(1, orders)
                sizes = " ".join(f"{rss[pid] / 2**20:>7.1f}" for rss in (first, middle, last))
                lines.append(f"  {self._names[pid]:<34} {sizes} {grown:>10.2f}")
        return "\n".join(lines)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._sample()
            self._stop.wait(EVERY_S)

    def _sample(self) -> None:
        found = {}
        for pid, process in self._processes.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[pid] = int(process.memory_info().rss)
        self._samples.append((time.monotonic(), found))


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    shown = words[words.index("firstcome") + 1 :] if "firstcome" in words else [words[0].rpartition("/")[2]]
    return f"{' '.join(shown)[:24]} ({process.pid})"

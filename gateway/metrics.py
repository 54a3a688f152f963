"""What this process has answered, and what it knows of the lines, for Prometheus.

Several worker processes share one port, so a scrape reaches any of them. Each keeps its counts in memory and lays them down as a
file once a second; the one that is asked adds the files of all the others that live. Every series names its process. Counting is
a dictionary look-up and two additions.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
CONTENT_TYPE = "text/plain; version=0.0.4"


class Series(msgspec.Struct):
    """Requests of one route, method and status: `buckets` by BUCKETS_S and above, and their time in seconds."""

    route: str
    method: str
    status: int
    buckets: list[int]
    seconds: float = 0.0


class Gauge(msgspec.Struct):
    """One value that goes up and down, with its labels."""

    name: str
    help: str
    labels: dict[str, str]
    value: float


class Sheet(msgspec.Struct):
    """Everything that one process has to tell."""

    series: list[Series]
    gauges: list[Gauge]


class Metrics:
    """The counts of this process. `folder` is shared by the processes of one machine; `gauges` is asked at each laying down.

    `thread` is for what blocks here: whoever watches wants to see most of all when every other thread hangs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._series: dict[tuple[str, str, int], Series] = {}
        self.gauges: Callable[[], Iterable[Gauge]] = tuple

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answered request."""
        key = (route, method, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(*key, [0] * (len(BUCKETS_S) + 1))
        series.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        series.seconds += seconds

    def sheet(self) -> Sheet:
        """What this process has to tell now."""
        return Sheet(list(self._series.values()), list(self.gauges()))

    def lay_down(self) -> None:
        """Let the other processes see it. Blocks; an OSError says that the folder cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{os.getpid()}.new"
        fresh.write_bytes(msgspec.msgpack.encode(self.sheet()))
        fresh.replace(self._folder / f"{os.getpid()}.sheet")

    def take_away(self) -> None:
        """This process has nothing more to tell."""
        self.thread.shutdown(wait=True, cancel_futures=True)
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{os.getpid()}.sheet").unlink()

    def render(self) -> bytes:
        """All processes of this machine in Prometheus' text format. Blocks for reading a few small files."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Sheets({str(os.getpid()): self.sheet()} | dict(self._others())))
        return generate_latest(registry)

    def _others(self) -> Iterator[tuple[str, Sheet]]:
        for path in sorted(self._folder.glob("*.sheet")):
            pid = path.stem
            if pid == str(os.getpid()):
                continue
            if not pid.isdecimal() or not _lives(int(pid)):
                path.unlink(missing_ok=True)
                continue
            with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
                yield pid, msgspec.msgpack.decode(path.read_bytes(), type=Sheet)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Sheets(Collector):
    def __init__(self, sheets: dict[str, Sheet]) -> None:
        self._sheets = sheets

    def collect(self) -> Iterator[Metric]:
        labels = ["route", "method", "status", "worker"]
        total = CounterMetricFamily("firstcome_requests", "Requests answered", labels=labels)
        times = HistogramMetricFamily(
            "firstcome_request_seconds", "Time to answer", labels=["route", "method", "worker"]
        )
        for worker, sheet in self._sheets.items():
            for one in sheet.series:
                values = [one.route, one.method, str(one.status), worker]
                total.add_metric(values, sum(one.buckets))
            for (route, method), (buckets, seconds) in _by_route(sheet).items():
                times.add_metric([route, method, worker], _cumulative(buckets), seconds)
        yield total
        yield times
        yield from _gauge_families(self._sheets)


def _by_route(sheet: Sheet) -> dict[tuple[str, str], tuple[list[int], float]]:
    """Times without their status: what took long is asked by route."""
    sums: dict[tuple[str, str], tuple[list[int], float]] = {}
    for one in sheet.series:
        buckets, seconds = sums.get((one.route, one.method), ([0] * (len(BUCKETS_S) + 1), 0.0))
        added = [a + b for a, b in zip(buckets, one.buckets, strict=True)]
        sums[one.route, one.method] = (added, seconds + one.seconds)
    return sums


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    bounds = [*map(str, BUCKETS_S), "+Inf"]
    return [(bound, float(sum(buckets[: at + 1]))) for at, bound in enumerate(bounds)]


def _gauge_families(sheets: dict[str, Sheet]) -> Iterator[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for worker, sheet in sheets.items():
        for gauge in sheet.gauges:
            family = families.get(gauge.name)
            if family is None:
                names = [*sorted(gauge.labels), "worker"]
                family = families[gauge.name] = GaugeMetricFamily(gauge.name, gauge.help, labels=names)
            family.add_metric([*(gauge.labels[name] for name in sorted(gauge.labels)), worker], gauge.value)
    yield from families.values()

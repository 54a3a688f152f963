"""What this process knows of the lines and of its own queues, as gauges for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.metrics import Gauge

if TYPE_CHECKING:
    from gateway.services import Services
    from waiting_room.line_state import LineState


def gauges_of(services: Services) -> Iterator[Gauge]:
    """Every gauge of this process, as of its snapshot."""
    for pool in ("blocking", "hashing", "payments"):
        inside = float(getattr(services, pool).inside)
        yield Gauge("firstcome_threads_inside", "Calls that run or wait for a thread", {"pool": pool}, inside)
    for name, age in zip(("catalogue", "lines"), services.snapshot.age_s, strict=True):
        if age is not None:
            yield Gauge("firstcome_snapshot_age_seconds", "Age of the public snapshot", {"part": name}, age)
    for state in services.snapshot.states():
        yield from _line(state)


def _line(state: LineState) -> Iterator[Gauge]:
    labels = {"sale": state.settings.slug}
    people = {
        "waiting": state.waiting,
        "called": state.called,
        "missed": state.missed,
        "shopping": state.shopping,
        "ordering": state.ordering,
    }
    for where, count in people.items():
        yield Gauge(
            "firstcome_line_people", "People of a line, by where they stand", labels | {"where": where}, count
        )
    yield Gauge(
        "firstcome_line_calls_last_minute", "Calls in the last minute", labels, state.calls_last_minute
    )
    yield Gauge("firstcome_line_leading", "Whether a controller admits", labels, float(state.leader))
    units = {"free": state.stock.free, "held": state.stock.held, "sold": state.stock.sold}
    for kind, count in units.items():
        yield Gauge(
            "firstcome_stock_units",
            "Units of a sale, as the copy in Redis says",
            labels | {"kind": kind},
            count,
        )

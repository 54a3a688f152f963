"""The verb `rehearse`: a private Redis for as long as it takes, and the result as a table, a small chart, or JSON."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import msgspec

from firstcome.servers import EmbeddedRedis, PrivateRedis
from rehearsal.plan import Plan, fault_of
from rehearsal.rehearse import rehearse
from rehearsal.report import Report, Sample

BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 60
MEMORY = "1gb"


class PlanFault(Exception):
    """A plan that cannot be rehearsed; one sentence that names the field."""


# Nothing is kept on disk, and no more memory is taken than a rehearsal may.
THROWAWAY = ("--appendonly", "no", "--maxmemory", MEMORY)


class ThrowawayRedis(PrivateRedis):
    """An installed Redis for as long as a rehearsal takes."""

    def command(self) -> Sequence[str]:
        return [*super().command(), *THROWAWAY]


class ThrowawayEmbeddedRedis(EmbeddedRedis):
    """The same with the Redis that comes as a Python package."""

    def command(self) -> Sequence[str]:
        return [*super().command(), *THROWAWAY]


def read_plan(text: bytes) -> Plan:
    """A plan as JSON. Raises PlanFault."""
    try:
        return checked(msgspec.json.decode(text, type=Plan))
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise PlanFault(f"The plan cannot be used: {fault}") from None


def plan_with(base: Plan, options: dict[str, int | float]) -> Plan:
    """The plan with these fields in place of its own. Raises PlanFault."""
    try:
        return checked(msgspec.convert(msgspec.structs.asdict(base) | options, Plan))
    except msgspec.ValidationError as fault:
        raise PlanFault(f"The plan cannot be used: {fault}") from None


def checked(plan: Plan) -> Plan:
    """The plan itself. Raises PlanFault for one whose fields do not fit each other."""
    if fault := fault_of(plan):
        raise PlanFault(f"The plan cannot be used: {fault[0]} {fault[1]}.")
    return plan


def run(plan: Plan) -> Report:
    """Rehearse on a Redis of our own, that ends with us. Raises ServerFault, RehearsalFault, RoomUnavailable, RedisError."""
    before = signal.signal(signal.SIGTERM, _end)
    kind = ThrowawayRedis if PrivateRedis.find() else ThrowawayEmbeddedRedis
    try:
        with (
            tempfile.TemporaryDirectory(prefix="firstcome-rehearsal-") as folder,
            kind(Path(folder)) as server,
        ):
            return asyncio.run(rehearse(server.url, plan))
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(143)


# ---------------------------------------------------------------- for people


def in_words(report: Report) -> str:
    """The report for a terminal."""
    outcome, plan, best = report.outcome, report.plan, report.recommended
    waits = "  ".join(
        f"P{percent} {duration(getattr(outcome, f'wait_p{percent}_s'))}" for percent in (50, 90, 99)
    )
    rows = [
        ("crowd", f"{plan.crowd:,} buyers for {plan.stock:,} units"),
        ("settings", f"{outcome.calls_per_minute:,} calls a minute, capacity {outcome.capacity:,}"),
        ("all units held", duration(outcome.all_held_s)),
        ("95 % sold", duration(outcome.sold_most_s)),
        ("sold out", duration(outcome.sold_out_s)),
        ("ended", f"{duration(outcome.ended_s)} ({outcome.end.replace('_', ' ')}), {outcome.sold:,} sold"),
        ("wait until called", waits),
        (
            "calls",
            f"{outcome.calls:,}, {outcome.missed_turns:,} turns missed, {outcome.came_back:,} came back",
        ),
        ("a slot is taken", f"{outcome.slot_s:.0f} s on average"),
        (
            "held back by",
            ", ".join(f"{word} {duration(seconds)}" for word, seconds in outcome.limits_s.items()),
        ),
        ("buyers", ", ".join(f"{word} {count:,}" for word, count in outcome.fates.items() if count)),
    ]
    lines = [f"{name:<18} {text}" for name, text in rows]
    lines += [
        "",
        *_charts(outcome.samples),
        "",
        "tried (calls a minute / capacity: 95 % sold, wait P90, sold)",
    ]
    for trial in report.trials:
        mark = "*" if trial == best else " "
        lines.append(
            f"{mark} {trial.calls_per_minute:>9,} / {trial.capacity:<9,} {duration(trial.sold_most_s):>9}"
            f" {duration(trial.wait_p90_s):>9} {trial.sold:>9,}"
        )
    lines += [
        "",
        f"Recommended: {best.calls_per_minute:,} calls a minute, capacity {best.capacity:,}: the lowest rate tried that",
    ]
    return "\n".join([*lines, "sells within a tenth of the time of the fastest."])


def _charts(samples: Sequence[Sample]) -> list[str]:
    step = max(1, -(-len(samples) // WIDTH))
    return [
        f"{name:<8} {_bars([getattr(sample, name) for sample in samples[::step]])}"
        for name in ("calls", "waiting", "slots", "sold")
    ]


def _bars(values: Sequence[int]) -> str:
    most = max(values, default=0) or 1
    return "".join(BARS[-(-value * (len(BARS) - 1) // most)] for value in values) + f"  up to {most:,}"


def duration(seconds: int | None) -> str:
    """A duration as people read it; a dash for none."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"

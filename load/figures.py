"""One figure of the benchmarks, how it is reckoned from interleaved runs, and how figures are shown and kept.

The machine is never quiet, so that no absolute rate says anything: two things are measured in turns, each round gives one ratio,
and the median of the rounds' ratios is the figure. Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its goal. `better` says which side of the goal is good; a goal of None is for information only."""

    name: str
    value: float
    unit: str
    goal: float | None
    better: Literal["higher", "lower"]
    detail: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


def interleave(takes: Mapping[str, Callable[[], T]], rounds: int = ROUNDS) -> dict[str, list[T]]:
    """Each take once per round, in turns; every other round backwards, so that nobody always comes first."""
    results: dict[str, list[T]] = {name: [] for name in takes}
    for at in range(rounds):
        order = list(takes) if at % 2 == 0 else list(reversed(takes))
        for name in order:
            results[name].append(takes[name]())
    return results


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios ours / theirs."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0..1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def shown(value: float) -> str:
    """A number with as many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line_of(figure: Figure) -> str:
    """One line of the table."""
    sign = {True: "ok  ", False: "MISS", None: "    "}[figure.reached]
    bound = (
        "" if figure.goal is None else f"{'>=' if figure.better == 'higher' else '<='} {shown(figure.goal)}"
    )
    return f"{sign} {figure.name:<26} {shown(figure.value):>9} {figure.unit:<10} {bound:<10} {figure.detail}"


def write(figures: Sequence[Figure], path: Path) -> None:
    """Keep the figures as JSON; those of an earlier run that were not measured now stay."""
    kept = {figure["name"]: figure for figure in _read(path)}
    kept |= {figure.name: asdict(figure) for figure in figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(list(kept.values()), indent=1, ensure_ascii=False) + "\n", "utf-8")
    aside.replace(path)


def _read(path: Path) -> list[dict[str, object]]:
    try:
        return list(json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError):
        return []

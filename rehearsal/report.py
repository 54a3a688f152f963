"""What a rehearsal tells, and which settings it recommends. Pure: figures in, figures out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from rehearsal.plan import Plan

MOST_SAMPLES = 120
# The last units wait for the last hold to end, whatever the settings: speed is told by when most of the stock was sold.
MOST_OF_STOCK = 0.95
# Settings are as good as the fastest when they are this little slower.
NEARLY, NEARLY_S = 1.10, 10


class Fate(StrEnum):
    """What has become of a buyer in the end; everybody has one."""

    BOUGHT = "bought"
    UNPAID = "unpaid"  # ordered, and the hold ended without money
    REFUSED = "refused"  # called, but the units were taken
    ABANDONED = "abandoned"  # let the pass expire
    MISSED = "missed"  # did not answer the call
    LEFT = "left"
    SERVING = "serving"  # called or in checkout when it ended
    WAITING = "waiting"
    TOO_LATE = "too_late"  # came after it was over


class End(StrEnum):
    """Why a rehearsal ended."""

    SOLD_OUT = "sold_out"
    NOBODY_LEFT = "nobody_left"
    CLOSED = "closed"


class Sample(msgspec.Struct, frozen=True):
    """The sale at one moment; `calls` since the sample before. `at_s` after the opening."""

    at_s: int
    calls: int
    waiting: int
    slots: int
    held: int
    sold: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the sale goes with one choice of rate and capacity. Seconds after the opening; None: it never comes to that.

    Waits are those of everybody called, from the later of joining and opening to the first call. `limits_s`: for how many seconds
    what held the line back. `slot_s`: how long a slot is taken on average. `sold_most_s`: 95 % of the stock.
    """

    calls_per_minute: int
    capacity: int
    end: End
    ended_s: int
    all_held_s: int | None
    sold_most_s: int | None
    sold_out_s: int | None
    sold: int
    calls: int
    missed_turns: int
    came_back: int
    wait_p50_s: int | None
    wait_p90_s: int | None
    wait_p99_s: int | None
    slot_s: float
    limits_s: dict[str, int]
    fates: dict[str, int]
    samples: list[Sample]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A choice that was tried, in short."""

    calls_per_minute: int
    capacity: int
    sold: int
    sold_most_s: int | None
    sold_out_s: int | None
    ended_s: int
    wait_p90_s: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole rehearsal: the settings as given, and the calmest of those tried that sell nearly as fast as the fastest."""

    plan: Plan
    outcome: Outcome
    trials: list[Trial]
    recommended: Trial


def percentile(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many per cent do not exceed (nearest rank); None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def thinned(samples: Sequence[Sample]) -> list[Sample]:
    """At most so many samples that a chart can show them, the last one among them; no call is lost."""
    step = math.ceil(len(samples) / MOST_SAMPLES) if samples else 1
    parts = [samples[at : at + step] for at in range(0, len(samples), step)]
    return [msgspec.structs.replace(part[-1], calls=sum(one.calls for one in part)) for part in parts]


def choices(outcome: Outcome, most_slots: int) -> list[tuple[int, int]]:
    """Rates and capacities worth trying beside the given ones: rates around it, each with the slots that it fills (Little's law),
    up to `most_slots`, beyond which the stock holds the line back.
    """
    rates = {max(1, outcome.calls_per_minute * factor // 4) for factor in (1, 2, 4, 8, 16)}
    wanted = {(rate, min(most_slots, slots_for(rate, outcome.slot_s))) for rate in rates if rate <= 1_000_000}
    return sorted(wanted - {(outcome.calls_per_minute, outcome.capacity)})


def slots_for(calls_per_minute: int, slot_s: float) -> int:
    """Slots taken at a time when so many are called and each keeps one so long, and a sixth more, in tens."""
    return min(1_000_000, max(10, 10 * math.ceil(calls_per_minute / 60 * slot_s * 7 / 6 / 10)))


def brief(outcome: Outcome) -> Trial:
    """An outcome in short."""
    return Trial(**{name: getattr(outcome, name) for name in Trial.__struct_fields__})


def recommend(trials: Sequence[Trial]) -> Trial:
    """Of those that sell the most (within 1 %), and are nearly as fast as the fastest of them, the one with the lowest rate, then capacity."""
    most = max(trial.sold for trial in trials)
    selling = [trial for trial in trials if trial.sold >= 0.99 * most]
    fastest = min(_done_s(trial) for trial in selling)
    calm = [trial for trial in selling if _done_s(trial) <= fastest * NEARLY + NEARLY_S]
    return min(calm, key=lambda trial: (trial.calls_per_minute, trial.capacity))


def _done_s(trial: Trial) -> int:
    return trial.ended_s if trial.sold_most_s is None else trial.sold_most_s

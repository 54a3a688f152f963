"""Whether a payment provider works, judged by the calls that were lately made to it. Pure: counts, time and the last verdict come in.

Where paying does not work nobody new should be led to it: admission holds. The verdict is slow both ways, so that a lost answer
holds nothing and a provider that stumbles does not let the line stop and start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WINDOW_MS = 30_000
SLOT_MS = 2_000  # calls are counted in slots of this length
RECENT_MS = 6_000
LEAST_FAILED = 3  # so many calls must have failed before it counts as down
LEAST_ANSWERED = 2  # so many must have been answered lately before it counts as up again


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to a provider: those it answered, a refusal being an answer too, and those it did not."""

    answered: int = 0
    failed: int = 0

    @property
    def made(self) -> int:
        return self.answered + self.failed


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict. What was counted before `counted_from_ms` (unix ms) has had its effect and is not counted again."""

    down: bool = False
    counted_from_ms: int = 0


def counted(slots: Mapping[int, Calls], from_ms: int) -> Calls:
    """The calls of the slots that begin at or after this moment; a slot is known by its beginning (unix ms)."""
    chosen = [calls for began_ms, calls in slots.items() if began_ms >= from_ms]
    return Calls(sum(calls.answered for calls in chosen), sum(calls.failed for calls in chosen))


def failing(calls: Calls) -> bool:
    """More than half of these calls were not answered, and three at least."""
    return calls.failed >= LEAST_FAILED and calls.failed * 2 > calls.made


def answering(calls: Calls) -> bool:
    """Nearly all of these calls were answered, and two at least."""
    return calls.answered >= LEAST_ANSWERED and calls.failed * 5 <= calls.made


def judge(before: Health, slots: Mapping[int, Calls], now_ms: int) -> Health:
    """Down once more than half of the calls of the last 30 s failed, and three at least, unless it answers again by now; up again once
    nearly all of the last few seconds were answered, and two at least. Without any call in all the time nothing says it is down.
    """
    well = answering(counted(slots, now_ms - RECENT_MS))
    if before.down:
        silent = counted(slots, now_ms - WINDOW_MS).made == 0
        return Health(down=False, counted_from_ms=now_ms) if well or silent else before
    calls = counted(slots, max(before.counted_from_ms, now_ms - WINDOW_MS))
    return (
        Health(down=True, counted_from_ms=before.counted_from_ms) if failing(calls) and not well else before
    )


def worth_a_probe(slots: Mapping[int, Calls], now_ms: int) -> bool:
    """Whether somebody should ask the provider of their own accord: something failed lately, and while nobody is let in few may call."""
    return counted(slots, now_ms - WINDOW_MS).failed > 0

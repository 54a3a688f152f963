"""Many trials side by side on one Redis, and of a trace that fails the smallest part that still does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from tests.model import steps
from tests.model.scripts import source_with_a_clock_of_its_own
from tests.model.steps import Step
from tests.model.trial import CEILING_MS, UNSEEN_MS, Disagreement, Trial
from waiting_room.collector import Collector
from waiting_room.polling import PollLimits
from waiting_room.room import Room


@dataclass(frozen=True, slots=True)
class Failure:
    """A trace on which both disagree, made as small as it gets."""

    seed: int
    trace: list[Step]
    found: str

    def __str__(self) -> str:
        told = "\n".join(f"    {step!r}," for step in self.trace)
        return f"seed {self.seed}, {len(self.trace)} steps:\n[\n{told}\n]\n{self.found}"


@dataclass
class Runner:
    """Runs traces side by side on one Redis. `source` gives the scripts, perhaps with a slip in one."""

    client: Redis
    raw: Redis
    beside: int = 48
    source: Callable[[str], str] = source_with_a_clock_of_its_own

    def __post_init__(self) -> None:
        polls = PollLimits(ceiling_ms=CEILING_MS)
        self.room = Room(self.client, unseen_ms=UNSEEN_MS, polls=polls, within_s=20, source=self.source)
        self.eyes = Collector(self.client, within_s=20, source=self.source)

    async def disagreement(self, trace: Sequence[Step]) -> str | None:
        """What both disagree on, or None."""
        try:
            await Trial(self.client, self.raw, self.room, self.eyes).run(trace)
        except Disagreement as found:
            return str(found)
        return None

    async def first_failure(self, seeds: Iterator[int]) -> Failure | None:
        """Take seeds until they end or one fails; that one made small."""
        found = await self.first_found(seeds)
        return None if found is None else await self._smallest(*found)

    async def first_found(self, seeds: Iterator[int]) -> tuple[int, str] | None:
        """Take seeds until they end or one fails; that seed, and what was found."""

        async def work() -> tuple[int, str] | None:
            for seed in seeds:
                if told := await self.disagreement(steps.trace(seed)):
                    return seed, told
            return None

        tasks = [asyncio.create_task(work()) for _ in range(self.beside)]
        try:
            for done in asyncio.as_completed(tasks):
                if found := await done:
                    return found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return None

    async def _smallest(self, seed: int, told: str) -> Failure:
        """Take pieces of the trace away, large ones first, as long as what is left still fails."""
        kept, size = steps.trace(seed), 32
        while size:
            at = 0
            while at < len(kept):
                shorter = kept[:at] + kept[at + size :]
                if again := await self.disagreement(shorter):
                    kept, told = shorter, again
                else:
                    at += size
            size //= 2
        return Failure(seed, kept, told)

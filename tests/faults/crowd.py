"""A crowd of patient buyers, one thread each, spread over several lanes; who does what follows from the chance that is handed in."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.faults.buyers import WITHIN_S, End, PatientBuyer, Plan, Wish
from tests.faults.journal import Journal

WISHES = {
    Wish.APPROVE: 50,
    Wish.DUPLICATE: 14,
    Wish.REORDERED: 14,
    Wish.DECLINE: 10,
    Wish.LATE: 6,
    Wish.CANCEL: 6,
}
# Nobody whose money is on its way for long after the order has ended.
PROMPT = {wish: share for wish, share in WISHES.items() if wish is not Wish.LATE}
TWICE = 0.2


@dataclass(frozen=True, slots=True)
class Lane:
    """A sale of one product, and so a lane of its own."""

    sale_id: str
    slug: str
    product: str


@dataclass
class Crowd:
    """Buyers under way: what they have seen, and how their ways ended once the body that they ran beside is left."""

    signals: Sequence[threading.Event]
    journal: Journal = field(default_factory=Journal)
    journeys: list[Future[End]] = field(default_factory=list)

    def send(self, wave: int) -> None:
        """Those who kept their passes for this wave order now, all at once."""
        self.signals[wave].set()

    def await_accepted(self, count: int) -> None:
        """Until so many orders were accepted. Raises AssertionError with what hindered the buyers, if anything did."""
        if not self.journal.await_accepted(count, WITHIN_S):
            raise AssertionError(f"order {count} was not accepted within {WITHIN_S:.0f} s {self.faults()}")

    def faults(self) -> list[str]:
        """What went wrong for a buyer, as far as their ways have ended."""
        ended = [journey for journey in self.journeys if journey.done()]
        return [str(error).splitlines()[0] for journey in ended if (error := journey.exception()) is not None]


@dataclass(frozen=True, slots=True)
class Size:
    """How many buyers spread over how many lanes, and what share of them wishes what."""

    buyers: int
    lanes: int
    wishes: Mapping[Wish, int] = field(default_factory=lambda: WISHES)


def plans(size: Size, waves: int, chance: random.Random) -> list[Plan]:
    """As many parts as there are buyers: some order at once, as many wait for each wave's signal."""
    wishes = chance.choices(list(size.wishes), list(size.wishes.values()), k=size.buyers)
    return [
        Plan(
            lane=number % size.lanes,
            wish=wish,
            wave=number // size.lanes % (waves + 1),
            twice=chance.random() < TWICE,
        )
        for number, wish in enumerate(wishes)
    ]


@contextlib.contextmanager
def crowd(url: str, tokens: Sequence[str], lanes: Sequence[Lane], parts: Sequence[Plan]) -> Iterator[Crowd]:
    """Buyers with these tokens and parts, all under way at once while the body runs; their journeys' ends are awaited after it."""
    all_of_them = Crowd([threading.Event() for _ in range(max(part.wave for part in parts) + 1)])
    all_of_them.signals[0].set()
    with ThreadPoolExecutor(len(parts)) as threads:
        for token, plan in zip(tokens, parts, strict=True):
            lane = lanes[plan.lane]
            buyer = PatientBuyer(
                *(url, token, lane.slug, lane.product),
                plan=plan,
                journal=all_of_them.journal,
                signal=all_of_them.signals[plan.wave],
            )
            all_of_them.journeys.append(threads.submit(buyer.journey))
        try:
            yield all_of_them
        finally:
            for signal in all_of_them.signals:
                signal.set()

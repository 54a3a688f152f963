"""What may happen to a sale, one frozen value a step, and random traces of them. A trace prints as Python, to be run again as it is.

Buyers and old tickets are told by indices that count round, so that a trace from which steps were taken away still means something.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Which of the tickets that a buyer ever got is shown: the newest, one of the older ones by its index, or none.
NEWEST, NONE = -1, -2
ENOUGH = 1_000_000


@dataclass(frozen=True, slots=True)
class ByLot:
    """Before everything else: this sale is a draw, with one of a few seeds."""

    seed: int


@dataclass(frozen=True, slots=True)
class Draw:
    """The leader's clerk goes on with the draw, so many times, by what the last tick has told."""

    times: int = 1


@dataclass(frozen=True, slots=True)
class Join:
    buyer: int
    shown: int = NEWEST


@dataclass(frozen=True, slots=True)
class Look:
    buyer: int
    shown: int = NEWEST


@dataclass(frozen=True, slots=True)
class Leave:
    buyer: int
    shown: int = NEWEST


@dataclass(frozen=True, slots=True)
class Adopt:
    """A guest's place moves to an account."""

    guest: int
    account: int
    shown: int = NEWEST


@dataclass(frozen=True, slots=True)
class Extend:
    buyer: int


@dataclass(frozen=True, slots=True)
class Claim:
    buyer: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order with one of the passes that this buyer ever got. `decided`: its row stands in the database, too."""

    buyer: int
    nth_pass: int = NEWEST
    decided: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """The workers tell the end of the order that has, or had, this pass: paid, ended or rejected; maybe again, maybe wrongly."""

    buyer: int
    word: str
    nth_pass: int = NEWEST


@dataclass(frozen=True, slots=True)
class Tick:
    dt_ms: int = 200
    rate: int = ENOUGH
    stock: int = ENOUGH
    backlog: int = ENOUGH
    by_leader: bool = True


@dataclass(frozen=True, slots=True)
class SameTick:
    """The last tick once more: its reply was lost."""


@dataclass(frozen=True, slots=True)
class PassTime:
    """Seconds on the sale's clock."""

    seconds: int
    rate: int = 0


@dataclass(frozen=True, slots=True)
class Control:
    word: str


@dataclass(frozen=True, slots=True)
class Pace:
    calls_per_minute: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Stock:
    allotted: int
    held: int
    sold: int


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The store's clock is moved."""

    by_ms: int


@dataclass(frozen=True, slots=True)
class NextBlock:
    size: int


@dataclass(frozen=True, slots=True)
class CopyLog:
    """The leader copies the call log into the books."""


@dataclass(frozen=True, slots=True)
class Lose:
    """FLUSHALL, as far as this sale is concerned."""


@dataclass(frozen=True, slots=True)
class Save:
    """What a replica, or a backup, has of the store by now."""


@dataclass(frozen=True, slots=True)
class FailOver:
    """Another server takes over, with what was saved last (or nothing)."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The server starts again with all its data."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The leader finds a store that is not confirmed, and does what it does then."""

    block: int = 6


Step = (
    ByLot | Draw | Join | Look | Leave | Adopt | Extend | Claim | Order | Outcome | Tick | SameTick | PassTime
    | Control | Pace | Stock | ClockStep | NextBlock | CopyLog | Lose | Save | FailOver | Restart | Confirm
)  # fmt: skip

CONTROLS = ("running", "running", "running", "paused", "halted", "draining", "closed", "cancelled", "draft")


def trace(seed: int, length: int = 60) -> list[Step]:
    """The random trace of a seed."""
    return list(_steps(random.Random(seed), length))


def _steps(chance: random.Random, length: int) -> Iterator[Step]:
    drawn = chance.random() < 0.4
    buyers = chance.choice((3, 5, 8, 12) if drawn else (2, 3, 5, 8))
    makers, weights = zip(*_weighed(chance, buyers, drawn=drawn), strict=True)
    if drawn:
        yield ByLot(chance.randrange(5))
    yield Confirm(chance.choice((3, 6, 30)))
    if chance.random() < 0.7:
        yield from (Join(buyer, NONE) for buyer in range(buyers))
    for make in chance.choices(makers, weights, k=length):
        step = make()
        yield step
        if isinstance(step, Lose | FailOver | Restart) and chance.random() < 0.8:  # a leader is seldom far
            yield Confirm(chance.choice((3, 30)))
            if chance.random() < 0.7:
                yield from (Look(buyer) for buyer in range(buyers) if not drawn or chance.random() < 0.8)


def _weighed(chance: random.Random, buyers: int, *, drawn: bool) -> list[tuple[Callable[[], Step], float]]:
    """Steps and how often they come; a trace dwells on a subject of its own by leaving some of the rest out."""

    def buyer() -> int:
        return chance.randrange(buyers)

    def shown() -> int:
        return chance.choice((NEWEST, NEWEST, NEWEST, NONE, 0, 1, 2))

    def nth_pass() -> int:
        return chance.choice((NEWEST, NEWEST, NEWEST, 0, 1))

    def few() -> int:
        return chance.choice((0, 1, 1, 2, ENOUGH))

    calm: list[tuple[Callable[[], Step], float]] = [
        (lambda: Join(buyer(), shown()), 10),
        (lambda: Look(buyer(), shown()), 8),
        (lambda: Leave(buyer(), shown()), 3),
        (lambda: Extend(buyer()), 3),
        (lambda: Claim(buyer()), 9),
        (lambda: Order(buyer(), nth_pass(), chance.random() < 0.7), 7),
        (lambda: Outcome(buyer(), chance.choice(("paid", "ended", "rejected")), nth_pass()), 6),
        (lambda: Tick(chance.choice((0, 200, 1_000)), few()), 14),
        (SameTick, 2),
        (lambda: Adopt(buyer(), buyer(), shown()), 2),
        (lambda: PassTime(chance.choice((1, 2, 3, 5, 8)), few()), 6),
        (lambda: NextBlock(chance.choice((1, 3, 30))), 2),
        (CopyLog, 3),
    ]
    busy: list[tuple[Callable[[], Step], float]] = [
        (lambda: Tick(-5 if chance.random() < 0.5 else 10**7, few(), few(), few(), chance.random() < 0.6), 3),
        (lambda: PassTime(chance.choice((20, 35, 61)), few()), 0.6),
        (lambda: Control(chance.choice(CONTROLS)), 4),
        (lambda: Control("running"), 3),
        (lambda: Pace(chance.choice((0, 1, 2, 5, 60)), chance.choice((0, 1, 2, 3, 10))), 3),
        (lambda: Stock(5, chance.choice((0, 0, 2, 5)), chance.choice((0, 0, 3, 5))), 3),
        (lambda: ClockStep(chance.choice((-3_600_000, 3_600_000, 700, 5_000, 40_000))), 3),
    ]
    faults: list[tuple[Callable[[], Step], float]] = [
        (Lose, 1), (Save, 2), (FailOver, 1), (Restart, 1), (lambda: Confirm(chance.choice((3, 30))), 6),
    ]  # fmt: skip
    chosen = list(calm)
    if drawn:
        chosen.append((lambda: Draw(chance.choice((1, 1, 2, 9))), 12))
    for group in (busy, faults):
        if chance.random() < (0.8 if drawn else 0.6):
            chosen += [one for one in group if chance.random() < 0.8]
    return chosen

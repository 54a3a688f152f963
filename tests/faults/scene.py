"""What a fault is, and what it finds when it strikes: a stage, open lanes, a crowd that buys, and a chance of its own.

A fault is one small function with the mark `@fault(…)`: it strikes, takes its hand away again, and says what it hit. Whatever it chooses
it draws from `scene.chance`, so that the same seed hits the same target.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psutil

from tests.faults.crowd import Crowd, Lane
from tests.faults.stage import Stage
from tests.running import eventually

T = TypeVar("T")


class Missed(Exception):
    """A fault found nothing to strike at. Its round goes on, and says so."""


def sighted(look: Callable[[], T | None], what: str, timeout_s: float = 20) -> T:
    """The first truthy value of `look`. Raises Missed."""
    try:
        return eventually(look, what, timeout_s)
    except AssertionError as error:
        raise Missed(str(error)) from None


@dataclass(frozen=True, slots=True)
class Scene:
    """The moment of the blow. `wave`: how many buyers have just been sent at once."""

    stage: Stage
    lanes: Sequence[Lane]
    crowd: Crowd
    wave: int
    chance: random.Random

    def one_of(self, find: Callable[[], Sequence[psutil.Process]], what: str) -> psutil.Process:
        """One of the processes that are found; some are there for moments only, and are looked for until one is. Raises Missed."""

        def found() -> psutil.Process | None:
            try:
                there = sorted(find(), key=lambda one: one.pid)
            except psutil.NoSuchProcess:
                return None
            return self.chance.choice(there) if there else None

        return sighted(found, f"there is a {what}")


def stopping(processes: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    """Stop each of them, and tell which were still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
            yield process


def resume(stopped: Iterable[psutil.Process]) -> None:
    """Let them go on, as far as nobody has ended them meanwhile."""
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


Strike = Callable[[Scene], str]


@dataclass(frozen=True, slots=True)
class Fault:
    """`proves` is a sentence for people. `quick`: short enough for every test run. `log_lost`: a second of the call log may be gone,
    and who has not polled again yet may be overtaken in the line (never in a lane).
    """

    name: str
    proves: str
    strike: Strike
    quick: bool = False
    log_lost: bool = False


FAULTS: dict[str, Fault] = {}


def fault(name: str, *, quick: bool = False, log_lost: bool = False) -> Callable[[Strike], Strike]:
    """Register the function below as a fault; its docstring says what it proves."""

    def register(strike: Strike) -> Strike:
        FAULTS[name] = Fault(name, " ".join((strike.__doc__ or "").split()), strike, quick, log_lost)
        return strike

    return register

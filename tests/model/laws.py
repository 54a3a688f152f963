"""What must hold after every step, whatever the reference thinks: read from the store alone and from what was answered before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.model import reference, steps
from tests.model.steps import Step

MINUTE_MS = 60_000


class Laws:
    """The laws of one sale. It remembers numbers, turns and calls over all stores of the sale."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._turns: set[tuple[str, str]] = set()
        self._calls: list[tuple[int, int]] = []

    def broken(
        self, step: Step, before: dict[str, Any], after: dict[str, Any], model: reference.Room, answer: Any
    ) -> Iterator[str]:
        """What this step has broken."""
        yield from self._one_place_each(after)
        if isinstance(answer, dict) and answer.get("created") and answer["number"] is not None:
            if self._numbers and answer["number"] <= self._numbers[-1]:
                yield f"number {answer['number']} was given after {self._numbers[-1]}"
            self._numbers.append(answer["number"])
        if isinstance(step, (steps.Lose, steps.FailOver, steps.Restart, steps.Confirm)):
            self._calls.clear()  # the sale clock and its window are those of another store
            return
        yield from self._nobody_is_uncalled(step, before, after)
        if isinstance(step, steps.Tick) and isinstance(answer, dict):
            yield from self._calls_are_fair(before, after, model, answer)

    def _one_place_each(self, after: dict[str, Any]) -> Iterator[str]:
        places = [ticket for name in ("line", "turns", "missed", "shopping") for ticket in after[name]]
        if len(places) != len(set(places)):
            yield f"somebody stands twice: {sorted(places)}"
        if not set(after["unseen"]) <= set(after["turns"]):
            yield "an unseen call of nobody who is called"

    def _nobody_is_uncalled(self, step: Step, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
        """Only time, the buyer and the end of an order take a turn or a slot away; no operator does."""
        if not isinstance(
            step, (steps.Control, steps.Pace, steps.Stock, steps.ClockStep, steps.CopyLog, steps.NextBlock)
        ):
            return
        for name in ("line", "turns", "missed", "shopping", "ordering"):
            if before[name] != after[name]:
                yield f"{step!r} changed {name}"

    def _calls_are_fair(
        self, before: dict[str, Any], after: dict[str, Any], model: reference.Room, reply: dict[str, Any]
    ) -> Iterator[str]:
        called, settings = reply["calls"], model.settings
        new = [tuple(row[1:4]) for row in after["log"][len(before["log"]) :] if row[0] == "call"]
        for ticket, _, turn in new:
            if (ticket, turn) in self._turns:
                yield f"turn {turn} of {ticket} was given twice"
            self._turns.add((ticket, turn))
        if not called or not new:
            return
        line = sorted(before["line"].items(), key=lambda pair: pair[1])
        if [ticket for ticket, _ in line[:called]] != [ticket for ticket, _, _ in new]:
            yield f"called {new} out of the line {line}"
        if reply["called"] + reply["shopping"] + reply["ordering"] > settings.capacity:
            yield f"more slots are taken than the capacity of {settings.capacity}"
        clock_ms = reply["clock_ms"]
        self._calls = [(at, count) for at, count in self._calls if at > clock_ms - MINUTE_MS] + [
            (clock_ms, called)
        ]
        if sum(count for _, count in self._calls) > settings.calls_per_minute:
            yield f"more than {settings.calls_per_minute} calls in sixty seconds: {self._calls}"


def told_to_wait(ticket: str, held: Iterable[int], stored: Mapping[str, Any], *, secret: bool) -> int | None:
    """A ticket in the buyer's hands that no longer waits, though whoever answers polls without asking here must think so.

    They know numbers that are gone and the highest that was called (waiting_room/digest.py). `held`: what the buyer's tickets of
    this store say, numbers or marks of a draw. `secret`: the draw shows no numbers yet, so that tickets are told by their ids.
    """
    stands = dict(stored["line"]).get(ticket)
    for mark in held:
        if secret:
            known = mark > 0 or ticket in stored["gone"]
            waits = stands is not None
        else:
            known = mark <= int(stored["now_serving"]) or str(mark) in stored["gone"]
            waits = stands is not None and float(stands) == mark
        if not known and not waits:
            return mark
    return None

"""How many to call: settings and the figures of the last tick in, allowances out. Pure; the tick script takes the least of them,
and re-checks capacity and the 60-second window itself.

Knows no Redis, no tickets and no clock: a simulated sale runs the same code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

NO_LIMIT = 1_000_000
MINUTE_MS = 60_000
# Before so many turns have ended the share of no-shows is a guess, and nobody is called on a guess.
TURNS_BEFORE_OVER_CALL = 50
# What a budget may carry into the next tick stays under one call.
_UNDER_ONE = 1.0 - 1e-9


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the pace depends on, as the last tick saw it. `over_call_limit` is a factor; ages in ms."""

    calls_per_minute: int
    calls_last_minute: int
    waiting: int
    called: int
    shopping: int  # admitted, no live order
    allotted: int
    held: int
    sold: int
    lane_depth: int
    lane_age_ms: int
    turns_ended: int
    no_shows: int
    over_call_limit: float


@dataclass(frozen=True, slots=True)
class BacklogLimits:
    """At half of these the room stops calling, so that the lane seldom has to refuse those who are admitted already; from a quarter
    on it calls ever more slowly, so that it need not stop and start.
    """

    max_age_ms: int = 10_000
    max_length: int = 5_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many calls each concern allows in one tick; `budget` is what the rate had to give, with its fraction."""

    rate: int
    stock: int
    backlog: int
    budget: float

    @classmethod
    def none(cls) -> Allowance:
        """For a leader that has no figures yet: nobody."""
        return cls(0, NO_LIMIT, NO_LIMIT, 0.0)


def allowance(figures: Figures, carry: float, dt_ms: int, limits: BacklogLimits) -> Allowance:
    """The allowances of a tick that comes `dt_ms` after the last; `carry` is what that one left over (below one call)."""
    budget = carry + figures.calls_per_minute * backlog_share(figures, limits) * dt_ms / MINUTE_MS
    left_in_minute = figures.calls_per_minute - figures.calls_last_minute
    return Allowance(
        rate=max(0, min(math.floor(budget), left_in_minute)),
        stock=stock_allowance(figures),
        backlog=backlog_allowance(figures, limits),
        budget=budget,
    )


def carry_over(budget: float, called: int, *, open_gate: bool, waiting: int, more: bool = False) -> float:
    """What is left of a budget for the next tick.

    Under one call, whatever held the rest back; nothing while nobody waits or the sale calls nobody. All of it when `more` were to be
    called by the same tick, which only takes several steps.
    """
    if not open_gate or waiting == 0:
        return 0.0
    left = max(0.0, budget - called)
    return left if more else min(_UNDER_ONE, left)


def stock_allowance(figures: Figures) -> int:
    """called + admitted-without-order may reach ceil(free x k). An order in the lane counts as one unit taken."""
    free = max(0, figures.allotted - figures.held - figures.sold - figures.lane_depth)
    k = over_call(figures.over_call_limit, figures.turns_ended, figures.no_shows)
    # Rounding up a product of floats must not add a buyer to a whole number.
    wanted = math.ceil(round(free * k, 6))
    return max(0, wanted - figures.called - figures.shopping)


def over_call(limit: float, turns_ended: int, no_shows: int) -> float:
    """k = min(limit, 1 / (1 - share of no-shows)), and 1 until enough turns have ended; never below 1."""
    if turns_ended < TURNS_BEFORE_OVER_CALL:
        return 1.0
    share = min(1.0, max(0.0, no_shows / turns_ended))
    wanted = 1.0 / (1.0 - share) if share < 1.0 else math.inf
    return max(1.0, min(limit, wanted))


def backlog_share(figures: Figures, limits: BacklogLimits) -> float:
    """What part of the rate the lane takes: all of it up to a quarter of the limits, then less and less, nothing from their half on."""
    filled = max(figures.lane_age_ms / limits.max_age_ms, figures.lane_depth / limits.max_length)
    return min(1.0, max(0.0, 2.0 - 4.0 * filled))


def backlog_allowance(figures: Figures, limits: BacklogLimits) -> int:
    """None while the oldest undecided order is older than half the limit; else what the lane's first half still takes."""
    if figures.lane_age_ms * 2 > limits.max_age_ms:
        return 0
    return max(0, limits.max_length // 2 - figures.lane_depth)

"""How many to call: by rate, by stock, by what the workers can take."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.clock import LONGEST_STEP_MS, on_the_wall, step_ms
from waiting_room.pace import (
    TURNS_BEFORE_OVER_CALL,
    Allowance,
    BacklogLimits,
    Figures,
    allowance,
    backlog_allowance,
    backlog_share,
    carry_over,
    over_call,
    stock_allowance,
)

LIMITS = BacklogLimits(max_age_ms=10_000, max_length=5_000)
CALM = Figures(
    calls_per_minute=600,
    calls_last_minute=0,
    waiting=1_000,
    called=0,
    shopping=0,
    allotted=10_000,
    held=0,
    sold=0,
    lane_depth=0,
    lane_age_ms=0,
    turns_ended=0,
    no_shows=0,
    over_call_limit=1.0,
)


def but(**changes: object) -> Figures:
    return msgspec.structs.replace(CALM, **changes)


@given(
    st.integers(0, 100_000), st.lists(st.integers(0, LONGEST_STEP_MS), min_size=1, max_size=300), st.data()
)
def test_over_any_ticks_no_more_is_called_than_the_rate_gives_and_one_carried(
    per_minute: int, steps: list[int], data: st.DataObject
) -> None:
    carry, called = 0.0, 0
    for dt_ms in steps:
        allowed = allowance(but(calls_per_minute=per_minute), carry, dt_ms, LIMITS)
        taken = data.draw(st.integers(0, allowed.rate))
        called += taken
        carry = carry_over(allowed.budget, taken, open_gate=True, waiting=1)
        assert 0 <= carry < 1
    assert called <= per_minute * sum(steps) / 60_000 + 1e-6


@given(st.integers(1, 600_000), st.integers(0, LONGEST_STEP_MS), st.integers(1, 400), st.integers(0, 5_000))
def test_a_tick_that_takes_several_steps_calls_as_many_as_it_would_in_one(
    per_minute: int, dt_ms: int, at_once: int, waiting: int
) -> None:
    figures = but(calls_per_minute=per_minute)
    whole = min(waiting, allowance(figures, 0.0, dt_ms, LIMITS).rate)
    carry, called, more = 0.0, 0, True
    while more:
        allowed = allowance(figures, carry, dt_ms, LIMITS)
        left = min(waiting - called, allowed.rate)
        taken, more, dt_ms = min(left, at_once), left > at_once, 0
        called += taken
        carry = carry_over(allowed.budget, taken, open_gate=True, waiting=waiting - called, more=more)
    assert called == whole
    assert carry < 1, "and none of it is banked"


@given(st.integers(1, 6_000), st.integers(50, 300))
def test_who_is_held_back_by_nothing_is_called_at_the_whole_rate(per_minute: int, dt_ms: int) -> None:
    carry, called, ticks = 0.0, 0, 30_000 // dt_ms
    for _ in range(ticks):
        allowed = allowance(but(calls_per_minute=per_minute), carry, dt_ms, LIMITS)
        called += allowed.rate
        carry = carry_over(allowed.budget, allowed.rate, open_gate=True, waiting=1)
    assert abs(called - per_minute * ticks * dt_ms / 60_000) <= 1


@given(st.floats(0, 1_000), st.integers(0, 1_000))
def test_nothing_is_banked_while_nobody_waits_or_the_sale_calls_nobody(budget: float, called: int) -> None:
    assert carry_over(budget, called, open_gate=False, waiting=5) == 0
    assert carry_over(budget, called, open_gate=True, waiting=0) == 0


def test_a_slot_that_frees_after_a_long_hold_is_filled_by_one_call_not_by_a_burst() -> None:
    carry = 0.0
    for _ in range(1_000):  # capacity holds everybody back
        carry = carry_over(allowance(CALM, carry, 200, LIMITS).budget, 0, open_gate=True, waiting=5)
    assert allowance(CALM, carry, 1, LIMITS).rate == 1


@given(st.integers(0, 10_000), st.integers(0, 20_000))
def test_the_last_minute_counts_against_any_rate(per_minute: int, last_minute: int) -> None:
    allowed = allowance(
        but(calls_per_minute=per_minute, calls_last_minute=last_minute), 0.9, LONGEST_STEP_MS, LIMITS
    )
    assert 0 <= allowed.rate <= max(0, per_minute - last_minute)


def test_a_leader_without_figures_calls_nobody() -> None:
    assert Allowance.none().rate == 0


COUNTS = st.integers(0, 2_000)


@given(
    COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.integers(0, 500), st.floats(1, 2), st.integers(0, 100)
)
def test_buyers_in_their_turn_never_exceed_the_over_called_free_units(
    allotted: int,
    held: int,
    sold: int,
    called: int,
    shopping: int,
    lane: int,
    ended: int,
    limit: float,
    percent: int,
) -> None:
    figures = but(
        allotted=allotted,
        held=held,
        sold=sold,
        called=called,
        shopping=shopping,
        lane_depth=lane,
        turns_ended=ended,
        no_shows=ended * percent // 100,
        over_call_limit=limit,
    )
    allowed = stock_allowance(figures)
    free = max(0, allotted - held - sold - lane)
    assert allowed >= 0
    if allowed > 0:
        assert called + shopping + allowed <= math.ceil(free * min(limit, 2.0) + 1e-6)
    if free == 0:
        assert allowed == 0


def test_units_that_are_held_sold_or_ordered_call_nobody() -> None:
    assert stock_allowance(but(allotted=10, held=3, sold=3, lane_depth=2)) == 2
    assert stock_allowance(but(allotted=10, held=3, sold=3, lane_depth=2, called=1, shopping=1)) == 0


def test_no_shows_are_made_up_for_only_when_they_were_measured_and_up_to_the_limit() -> None:
    assert over_call(2.0, TURNS_BEFORE_OVER_CALL - 1, 40) == 1.0
    assert over_call(2.0, 100, 20) == 1.25
    assert over_call(1.1, 100, 20) == 1.1
    assert over_call(2.0, 100, 100) == 2.0
    assert over_call(1.0, 100, 50) == 1.0
    assert stock_allowance(but(allotted=100, turns_ended=100, no_shows=20, over_call_limit=2.0)) == 125


def test_a_lane_that_lags_holds_the_calls() -> None:
    assert backlog_allowance(but(lane_age_ms=5_001, lane_depth=1), LIMITS) == 0
    assert backlog_allowance(but(lane_age_ms=5_000, lane_depth=2_400), LIMITS) == 100
    assert backlog_allowance(but(lane_depth=2_500), LIMITS) == 0
    assert backlog_allowance(but(lane_depth=9_999), LIMITS) == 0


LANES = st.tuples(st.integers(0, 6_000), st.integers(0, 12_000))


@given(LANES, LANES)
def test_a_lane_that_lags_more_slows_the_calls_more_and_by_no_leaps(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    shares = [
        backlog_share(but(lane_depth=depth, lane_age_ms=age_ms), LIMITS) for depth, age_ms in (one, other)
    ]
    assert all(0 <= share <= 1 for share in shares)
    if one[0] <= other[0] and one[1] <= other[1]:
        assert shares[1] <= shares[0]
    moved = max(abs(one[0] - other[0]) / LIMITS.max_length, abs(one[1] - other[1]) / LIMITS.max_age_ms)
    assert abs(shares[0] - shares[1]) <= 4 * moved + 1e-9


def test_a_lane_that_lags_a_little_slows_even_a_low_rate_instead_of_stopping_it() -> None:
    carry, called = 0.0, 0
    lagging = but(calls_per_minute=30, lane_age_ms=3_750)
    assert backlog_share(lagging, LIMITS) == 0.5
    assert backlog_share(but(lane_age_ms=2_500, lane_depth=1_250), LIMITS) == 1.0
    for _ in range(600):  # two minutes
        allowed = allowance(lagging, carry, 200, LIMITS)
        called += allowed.rate
        carry = carry_over(allowed.budget, allowed.rate, open_gate=True, waiting=1)
    assert 29 <= called <= 30


@given(st.none() | st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_a_clock_never_goes_back_and_never_jumps(last_ms: int | None, now_ms: int) -> None:
    assert 0 <= step_ms(last_ms, now_ms) <= LONGEST_STEP_MS
    if last_ms is None:
        assert step_ms(last_ms, now_ms) == 0


def test_a_deadline_is_shown_in_wall_time() -> None:
    assert on_the_wall(5_000, 2_000, 1_700_000_000_000) == 1_700_000_003_000
    assert on_the_wall(1_000, 2_000, 1_700_000_000_000) == 1_700_000_000_000

"""How long it may take, and whether the stock can reach a place."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.estimate import Estimate, Flow, Reason, StockOutlook, estimate, stock_outlook
from waiting_room.window import Phase, Stock

NOW = 1_700_000_000_000
STEADY = Flow(
    phase=Phase.OPEN,
    calls_per_minute=60,
    calls_last_minute=60,
    history_ms=600_000,
    capacity=1_000,
    slots=100,
    freed_last_minute=60,
    limit="rate",
    limit_since_ms=NOW - 9_000,
    gate_since_ms=NOW - 5_000,
    rate_lowered_ms=0,
    capacity_lowered_ms=0,
    now_ms=NOW,
)


def test_a_steady_line_of_sixty_a_minute_takes_about_a_second_each() -> None:
    told = estimate(STEADY, ahead=119)
    assert told.low_s is not None
    assert told.high_s is not None
    assert told.low_s <= 120 <= told.high_s <= 240
    assert told.reason is None


LIMITS = ["rate", "capacity", "stock", "backlog", "none", "rebuilding"]
FLOWS = st.builds(
    replace,
    st.just(STEADY),
    phase=st.sampled_from(Phase),
    calls_per_minute=st.integers(0, 10_000),
    calls_last_minute=st.integers(0, 10_000),
    history_ms=st.integers(0, 10**6),
    capacity=st.integers(0, 2_000),
    slots=st.integers(0, 2_000),
    freed_last_minute=st.integers(0, 2_000),
    limit=st.sampled_from(LIMITS),
)
AHEAD = st.integers(0, 10**6)


@given(FLOWS, AHEAD)
def test_any_estimate_is_a_range_or_says_why_there_is_none(flow: Flow, ahead: int) -> None:
    told = estimate(flow, ahead)
    if told.low_s is None or told.high_s is None:
        assert told.low_s is told.high_s is None
        assert told.reason is not None
    else:
        assert 0 < told.low_s <= told.high_s
    if flow.phase in (Phase.PAUSED, Phase.HALTED) or flow.history_ms == 0:
        assert told.low_s is None


def no_shorter(shorter: Estimate, longer: Estimate) -> bool:
    """Whether the second range is nowhere before the first; nobody knows is longer than anything."""
    ends = [(told.low_s, told.high_s) for told in (shorter, longer)]
    (low, high), (later_low, later_high) = [
        [math.inf if end is None else end for end in pair] for pair in ends
    ]
    return low <= later_low and high <= later_high


@given(FLOWS, AHEAD, AHEAD)
def test_who_stands_further_back_never_reads_a_shorter_time(flow: Flow, one: int, other: int) -> None:
    near, far = sorted((one, other))
    assert no_shorter(estimate(flow, near), estimate(flow, far))


@given(FLOWS, AHEAD, st.integers(0, 2_000))
def test_a_tighter_capacity_never_shortens(flow: Flow, ahead: int, capacity: int) -> None:
    wide, tight = max(capacity, flow.capacity), min(capacity, flow.capacity)
    assert no_shorter(
        estimate(replace(flow, capacity=wide), ahead), estimate(replace(flow, capacity=tight), ahead)
    )


@given(FLOWS, AHEAD, st.integers(0, 10_000))
def test_a_lower_rate_never_shortens(flow: Flow, ahead: int, rate: int) -> None:
    fast, slow = max(rate, flow.calls_per_minute), min(rate, flow.calls_per_minute)
    assert no_shorter(
        estimate(replace(flow, calls_per_minute=fast), ahead),
        estimate(replace(flow, calls_per_minute=slow), ahead),
    )


@given(FLOWS, AHEAD)
def test_whatever_takes_longer_than_the_set_rate_says_why(flow: Flow, ahead: int) -> None:
    told = estimate(flow, ahead)
    at_the_rate = estimate(
        replace(flow, limit="rate", capacity=10**9, rate_lowered_ms=0, capacity_lowered_ms=0), ahead
    )
    if not no_shorter(told, at_the_rate):
        assert told.reason is not None


def test_slots_that_turn_over_slowly_make_the_wait_longer_before_the_last_one_is_taken() -> None:
    # 90 of 100 slots are taken, 30 a minute become free: ten are called at the rate, the rest as slots become free.
    filling = replace(STEADY, calls_per_minute=600, capacity=100, slots=90, freed_last_minute=30)
    soon, late = estimate(filling, ahead=9), estimate(filling, ahead=309)
    assert soon.low_s is not None
    assert soon.low_s <= 5
    assert soon.reason is None
    assert late.low_s is not None
    assert late.high_s is not None
    assert late.low_s < 300 / (30 / 60 * 100 / 90) < late.high_s
    assert late.reason is Reason.CHECKOUT_SLOW
    stuck = estimate(replace(filling, slots=100, freed_last_minute=0, limit="capacity"), ahead=0)
    assert (stuck.low_s, stuck.reason) == (None, Reason.CHECKOUT_SLOW)


def test_a_quiet_line_is_not_judged_by_the_few_who_came() -> None:
    told = estimate(replace(STEADY, calls_last_minute=1), ahead=99)
    assert told.high_s is not None
    assert told.high_s <= 150


@pytest.mark.parametrize(
    ("changes", "reason", "at"),
    [
        ({"phase": Phase.PAUSED}, Reason.PAUSED, NOW - 5_000),
        ({"phase": Phase.HALTED}, Reason.PAUSED, NOW - 5_000),
        ({"phase": Phase.ALL_HELD}, Reason.STOCK_HELD, NOW - 5_000),
        ({"history_ms": 4_999}, Reason.NO_HISTORY, None),
        ({"calls_per_minute": 0}, Reason.NO_HISTORY, None),
        ({"limit": "rebuilding"}, Reason.REBUILDING, NOW - 9_000),
        ({"slots": 2_000, "freed_last_minute": 0}, Reason.CHECKOUT_SLOW, None),
        ({"phase": Phase.LOBBY}, Reason.NO_HISTORY, None),
        ({"rate_lowered_ms": NOW - 60_000}, Reason.RATE_LOWERED, NOW - 60_000),
        (
            {"capacity_lowered_ms": NOW - 60_000, "rate_lowered_ms": NOW - 70_000},
            Reason.CAPACITY_LOWERED,
            NOW - 60_000,
        ),
        ({"limit": "capacity"}, Reason.CHECKOUT_SLOW, NOW - 9_000),
        ({"limit": "backlog"}, Reason.CHECKOUT_SLOW, NOW - 9_000),
        ({"limit": "stock"}, Reason.STOCK_HELD, NOW - 9_000),
        ({"rate_lowered_ms": NOW - 3_600_000}, None, None),
    ],
)
def test_an_estimate_says_why_it_is_longer_or_missing(
    changes: dict[str, object], reason: Reason | None, at: int | None
) -> None:
    told = estimate(replace(STEADY, **changes), ahead=10)  # type: ignore[arg-type]
    assert (told.reason, told.reason_at_ms) == (reason, at)


def test_a_young_sale_is_measured_over_the_time_it_has_been_calling() -> None:
    full = replace(STEADY, capacity=100, limit="capacity")
    young = estimate(replace(full, freed_last_minute=15, history_ms=15_000), ahead=119)
    assert young == estimate(full, ahead=119)


@pytest.mark.parametrize(
    ("stock", "ahead", "before_order", "expected"),
    [
        (Stock(100, 0, 0), 10, 5, StockOutlook.LIKELY),
        (Stock(100, 0, 0), 94, 5, StockOutlook.UNCERTAIN),
        (Stock(100, 0, 0), 200, 5, StockOutlook.UNLIKELY),
        (Stock(100, 100, 0), 10, 0, StockOutlook.UNCERTAIN),
        (Stock(100, 10, 90), 50, 0, StockOutlook.UNLIKELY),
        (Stock(100, 0, 100), 0, 0, StockOutlook.GONE),
        (Stock.unknown(), 0, 0, StockOutlook.UNKNOWN),
    ],
)
def test_people_are_told_whether_the_stock_can_reach_them(
    stock: Stock, ahead: int, before_order: int, expected: StockOutlook
) -> None:
    assert stock_outlook(stock, ahead, before_order) is expected


RANKS = [StockOutlook.LIKELY, StockOutlook.UNCERTAIN, StockOutlook.UNLIKELY, StockOutlook.GONE]
STOCKS = st.tuples(st.integers(1, 500), st.integers(0, 500), st.integers(0, 500)).map(
    lambda one: Stock(one[0], min(one[1], one[0]), min(one[2], one[0] - min(one[1], one[0])))
)


@given(STOCKS, st.integers(0, 1_000), st.integers(0, 1_000), st.integers(0, 100))
def test_nobody_further_back_is_told_of_a_better_outlook(
    stock: Stock, one: int, other: int, before: int
) -> None:
    near, far = (RANKS.index(stock_outlook(stock, ahead, before)) for ahead in sorted((one, other)))
    assert near <= far


@given(STOCKS, st.integers(0, 1_000), st.integers(0, 100))
def test_only_stock_that_is_all_sold_is_gone(stock: Stock, ahead: int, before: int) -> None:
    told = stock_outlook(stock, ahead, before)
    assert (told is StockOutlook.GONE) == (stock.sold >= stock.allotted)
    if told is StockOutlook.LIKELY:
        assert ahead + before < stock.free

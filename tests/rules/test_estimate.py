"""How long it may take, and whether the stock can reach a place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.estimate import Flow, Reason, StockOutlook, estimate, stock_outlook
from waiting_room.window import Phase, Stock

NOW = 1_700_000_000_000
STEADY = Flow(
    phase=Phase.OPEN,
    calls_per_minute=60,
    calls_last_minute=60,
    history_ms=600_000,
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


@given(
    st.sampled_from(Phase),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 10**7),
    st.sampled_from(["rate", "capacity", "stock", "backlog", "none"]),
    st.integers(0, 10**6),
)
def test_any_estimate_is_a_range_or_says_why_there_is_none(
    phase: Phase, rate: int, calls: int, history_ms: int, limit: str, ahead: int
) -> None:
    flow = replace(
        STEADY,
        phase=phase,
        calls_per_minute=rate,
        calls_last_minute=calls,
        history_ms=history_ms,
        limit=limit,
    )
    told = estimate(flow, ahead)
    if told.low_s is None or told.high_s is None:
        assert told.low_s is told.high_s is None
        assert told.reason is not None
    else:
        assert 0 < told.low_s <= told.high_s


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_who_stands_further_back_never_reads_a_shorter_time(one: int, other: int) -> None:
    near, far = (estimate(STEADY, ahead) for ahead in sorted((one, other)))
    assert near.low_s is not None
    assert near.high_s is not None
    assert far.low_s is not None
    assert far.high_s is not None
    assert near.low_s <= far.low_s
    assert near.high_s <= far.high_s


@pytest.mark.parametrize(
    ("changes", "reason", "at"),
    [
        ({"phase": Phase.PAUSED}, Reason.PAUSED, NOW - 5_000),
        ({"phase": Phase.HALTED}, Reason.PAUSED, NOW - 5_000),
        ({"phase": Phase.ALL_HELD}, Reason.STOCK_HELD, NOW - 5_000),
        ({"calls_last_minute": 0}, Reason.NO_HISTORY, None),
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
    young = estimate(replace(STEADY, calls_last_minute=15, history_ms=15_000), ahead=119)
    assert young == estimate(STEADY, ahead=119)


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

"""Phases and stock states: what everybody sees of a sale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.window import WHOLE_FIELDS, Control, Phase, SaleSettings, Stock, StockState, phase

LOBBY, OPENS, CLOSES = 1_000, 2_000, 3_000
PLENTY, HELD, GONE = Stock(100, 10, 10), Stock(100, 50, 50), Stock(100, 0, 100)


def settings(control: Control = Control.RUNNING) -> SaleSettings:
    return SaleSettings(
        version=1,
        slug="demo",
        title="A sale",
        mode="fifo",
        control=control,
        lobby_opens_at_ms=LOBBY,
        opens_at_ms=OPENS,
        closes_at_ms=CLOSES,
        calls_per_minute=60,
        capacity=10,
        turn_window_ms=120_000,
        comeback_ms=600_000,
        hold_ms=600_000,
        pass_ms=900_000,
        over_call_limit=1.0,
    )


@pytest.mark.parametrize(
    ("control", "stock", "now_ms", "expected"),
    [
        (Control.RUNNING, PLENTY, LOBBY - 1, Phase.ANNOUNCED),
        (Control.RUNNING, PLENTY, LOBBY, Phase.LOBBY),
        (Control.RUNNING, PLENTY, OPENS - 1, Phase.LOBBY),
        (Control.RUNNING, PLENTY, OPENS, Phase.OPEN),
        (Control.RUNNING, PLENTY, CLOSES - 1, Phase.OPEN),
        (Control.RUNNING, PLENTY, CLOSES, Phase.CLOSED),
        (Control.RUNNING, HELD, OPENS, Phase.ALL_HELD),
        (Control.RUNNING, GONE, OPENS, Phase.SOLD_OUT),
        (Control.RUNNING, GONE, LOBBY, Phase.LOBBY),
        (Control.PAUSED, PLENTY, LOBBY, Phase.LOBBY),
        (Control.PAUSED, PLENTY, OPENS, Phase.PAUSED),
        (Control.PAUSED, GONE, OPENS, Phase.SOLD_OUT),
        (Control.HALTED, GONE, OPENS, Phase.HALTED),
        (Control.DRAINING, PLENTY, LOBBY, Phase.DRAINING),
        (Control.DRAINING, PLENTY, OPENS, Phase.DRAINING),
        (Control.DRAINING, GONE, OPENS, Phase.SOLD_OUT),
        (Control.CLOSED, PLENTY, OPENS, Phase.CLOSED),
        (Control.CANCELLED, PLENTY, LOBBY - 1, Phase.CANCELLED),
        (Control.CANCELLED, PLENTY, CLOSES, Phase.CANCELLED),
        (Control.DRAFT, PLENTY, OPENS, Phase.DRAFT),
    ],
)
def test_the_phase_follows_from_order_time_and_stock(
    control: Control, stock: Stock, now_ms: int, expected: Phase
) -> None:
    assert phase(settings(control), stock, now_ms) is expected


TIMES = st.integers(0, 4_000)
STOCKS = st.builds(Stock, st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
_ORDER_OF_TIME = {Phase.ANNOUNCED: 0, Phase.LOBBY: 1, Phase.CLOSED: 3}


@given(st.sampled_from(Control), STOCKS, TIMES, TIMES)
def test_time_moves_any_sale_forward_only(control: Control, stock: Stock, one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    before, after = (phase(settings(control), stock, at) for at in (earlier, later))
    assert _ORDER_OF_TIME.get(before, 2) <= _ORDER_OF_TIME.get(after, 2)


@given(st.sampled_from(Control), STOCKS, TIMES)
def test_no_sale_is_open_that_the_operator_has_stopped_or_that_has_nothing_free(
    control: Control, stock: Stock, now_ms: int
) -> None:
    if phase(settings(control), stock, now_ms) is Phase.OPEN:
        assert control is Control.RUNNING
        assert stock.free > 0
        assert OPENS <= now_ms < CLOSES


@pytest.mark.parametrize(
    ("stock", "expected"),
    [
        (Stock(100, 0, 0), StockState.AVAILABLE),
        (Stock(100, 40, 49), StockState.AVAILABLE),
        (Stock(100, 40, 50), StockState.LOW),
        (Stock(100, 1, 99), StockState.ALL_HELD),
        (Stock(100, 0, 100), StockState.SOLD_OUT),
        (Stock(0, 0, 0), StockState.SOLD_OUT),
        (Stock.unknown(), StockState.UNKNOWN),
    ],
)
def test_the_stock_state_says_what_is_left(stock: Stock, expected: StockState) -> None:
    assert stock.state is expected


FIELDS = dict.fromkeys(("version", "over_call_limit", *WHOLE_FIELDS), "1") | {
    "slug": "s",
    "title": "t",
    "mode": "fifo",
    "control": "running",
    "message_ko": "",
    "message_en": "hello",
}


def test_settings_are_read_from_their_copy_as_they_were_laid() -> None:
    read = SaleSettings.from_fields(FIELDS | {"over_call_limit": "150"})
    assert (read.over_call_limit, read.message_ko, read.message_en) == (1.5, None, "hello")


@pytest.mark.parametrize("name", [name for name in FIELDS if not name.startswith("message")])
def test_a_setting_that_is_missing_is_never_replaced_by_a_default(name: str) -> None:
    with pytest.raises(ValueError):
        SaleSettings.from_fields({field: value for field, value in FIELDS.items() if field != name})


@pytest.mark.parametrize(
    "change", [{"capacity": "-1"}, {"capacity": "many"}, {"control": "maybe"}, {"version": ""}]
)
def test_a_malformed_setting_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        SaleSettings.from_fields(FIELDS | change)

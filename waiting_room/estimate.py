"""How long it may take: a range in seconds that explains itself, and whether the stock can still reach a place. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from waiting_room.window import Phase, Stock, StockState

# A measured minute is a small sample: the truth may be that much slower, or faster while something else than the rate holds it.
SLOWER, FASTER = 0.7, 1.5
# How long a lowered rate or capacity is given as the reason of a longer wait.
REASON_LASTS_MS = 600_000


class StockOutlook(StrEnum):
    LIKELY = "likely"
    UNCERTAIN = "uncertain"
    UNLIKELY = "unlikely"
    GONE = "gone"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why an estimate is missing or longer than it was."""

    PAUSED = "paused"
    RATE_LOWERED = "rate_lowered"
    CAPACITY_LOWERED = "capacity_lowered"
    CHECKOUT_SLOW = "checkout_slow"
    STOCK_HELD = "stock_held"
    REBUILDING = "rebuilding"
    NO_HISTORY = "no_history"


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A range in seconds, both ends None while nobody can say; `reason` holds since `reason_at_ms` (unix ms)."""

    low_s: int | None
    high_s: int | None
    reason: Reason | None = None
    reason_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """How the line moves. `limit` is what held the last tick back: rate, capacity, stock, backlog or none. Moments in unix ms.

    `history_ms` is how long the sale has been calling on its own clock: a minute at most is measured.
    """

    phase: Phase
    calls_per_minute: int
    calls_last_minute: int
    history_ms: int
    limit: str
    limit_since_ms: int
    gate_since_ms: int
    rate_lowered_ms: int
    capacity_lowered_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a flow promises to everybody in line: calls per minute at most and at least, or `unknown` where nobody can say."""

    fast: float = 0.0
    slow: float = 0.0
    reason: tuple[Reason, int | None] | None = None
    unknown: Estimate | None = None

    def estimate(self, ahead: int) -> Estimate:
        """The range for somebody with `ahead` tickets before them."""
        if self.unknown is not None:
            return self.unknown
        low, high = _rounded(60 * (ahead + 1) / self.fast), _rounded(60 * (ahead + 1) / self.slow)
        return Estimate(low, max(low, high), *(self.reason or (None, None)))


def estimate(flow: Flow, ahead: int) -> Estimate:
    """The range for somebody with `ahead` tickets before them."""
    return forecast(flow).estimate(ahead)


def forecast(flow: Flow) -> Forecast:
    """What is the same for everybody in line."""
    match flow.phase:
        case Phase.PAUSED | Phase.HALTED:
            return Forecast(unknown=Estimate(None, None, Reason.PAUSED, flow.gate_since_ms or None))
        case Phase.ALL_HELD:
            return Forecast(unknown=Estimate(None, None, Reason.STOCK_HELD, flow.gate_since_ms or None))
        case Phase.OPEN | Phase.DRAINING:
            return _moving(flow)
        case _:
            return Forecast(unknown=Estimate(None, None, Reason.NO_HISTORY))


def _moving(flow: Flow) -> Forecast:
    measured = _measured_per_minute(flow)
    if measured == 0 or flow.calls_per_minute == 0:
        return Forecast(unknown=Estimate(None, None, *(_reason(flow) or (Reason.NO_HISTORY, None))))
    slow = max(0.01, SLOWER * min(measured, flow.calls_per_minute))
    by_rate = flow.limit in ("rate", "none")
    fast = flow.calls_per_minute if by_rate else min(flow.calls_per_minute, FASTER * measured)
    return Forecast(max(fast, slow), slow, _reason(flow))


def _measured_per_minute(flow: Flow) -> float:
    """Calls of the last minute; of a younger sale its calls so far, as if they had gone on."""
    if flow.history_ms >= 60_000:
        return float(flow.calls_last_minute)
    return flow.calls_last_minute * 60_000 / max(flow.history_ms, 5_000)


def _reason(flow: Flow) -> tuple[Reason, int | None] | None:
    """What made the wait longer, the latest order of the operator before the rest."""
    ordered = [
        (flow.rate_lowered_ms, Reason.RATE_LOWERED),
        (flow.capacity_lowered_ms, Reason.CAPACITY_LOWERED),
    ]
    at, reason = max(ordered)
    if at and flow.now_ms - at < REASON_LASTS_MS:
        return reason, at
    match flow.limit:
        case "capacity" | "backlog":
            return Reason.CHECKOUT_SLOW, flow.limit_since_ms or None
        case "rebuilding":
            return Reason.REBUILDING, flow.limit_since_ms or None
        case "stock":
            return Reason.STOCK_HELD, flow.limit_since_ms or None
        case _:
            return None


def _rounded(seconds: float) -> int:
    """Upwards to a step that a person would say: 5 s within a minute, 30 s within ten, then whole minutes."""
    step = 5 if seconds <= 60 else 30 if seconds <= 600 else 60
    return math.ceil(seconds / step) * step


@dataclass(frozen=True, slots=True)
class Reach:
    """How many buyers the stock reaches, likely and perhaps; `fixed` is the outlook of everybody where there is nothing to count."""

    likely: float = 0.0
    perhaps: float = 0.0
    fixed: StockOutlook | None = None

    def outlook(self, ahead: int) -> StockOutlook:
        """Whether a unit is left for somebody with `ahead` before them."""
        if self.fixed is not None:
            return self.fixed
        if ahead < self.likely:
            return StockOutlook.LIKELY
        return StockOutlook.UNCERTAIN if ahead < self.perhaps else StockOutlook.UNLIKELY


def reach(stock: Stock, before_order: int) -> Reach:
    """How far the stock reaches into the line while `before_order` are called or shopping.

    Counts one unit a buyer. Units that are held may still return, so they make the outlook uncertain, not good.
    """
    match stock.state:
        case StockState.UNKNOWN:
            return Reach(fixed=StockOutlook.UNKNOWN)
        case StockState.SOLD_OUT:
            return Reach(fixed=StockOutlook.GONE)
    likely, perhaps = math.floor(0.9 * stock.free), math.floor(stock.free + 0.5 * stock.held)
    return Reach(likely - before_order, perhaps - before_order)


def stock_outlook(stock: Stock, ahead: int, before_order: int) -> StockOutlook:
    """Whether a unit is left for somebody with `ahead` before them while `before_order` are called or shopping."""
    return reach(stock, before_order).outlook(ahead)

"""How long it may take: a range in seconds that explains itself, and whether the stock can still reach a place. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from waiting_room.window import Phase, Stock, StockState

# A measured minute is a small sample: the truth may be that much slower, or faster while something else than the rate holds it.
SLOWER, FASTER = 0.7, 1.5
# So long a sale must have been calling before anything is said.
SHORTEST_HISTORY_MS = 5_000
MINUTE_MS = 60_000
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """A range in seconds, both ends None while nobody can say; `reason` holds since `reason_at_ms` (unix ms)."""

    low_s: int | None
    high_s: int | None
    reason: Reason | None = None
    reason_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """How the line moves. `limit` is what held the last tick back: rate, capacity, stock, backlog or none. Moments in unix ms.

    `history_ms` is how long the sale has been calling on its own clock: a minute at most is measured. `slots` buyers are called or
    in checkout; `freed_last_minute` of them have given their slot back in that minute.
    """

    phase: Phase
    calls_per_minute: int
    calls_last_minute: int
    history_ms: int
    capacity: int
    slots: int
    freed_last_minute: int
    limit: str
    limit_since_ms: int
    gate_since_ms: int
    rate_lowered_ms: int
    capacity_lowered_ms: int
    now_ms: int


def estimate(flow: Flow, ahead: int) -> Estimate:
    """The range for somebody with `ahead` tickets before them."""
    match flow.phase:
        case Phase.PAUSED | Phase.HALTED:
            return Estimate(None, None, Reason.PAUSED, flow.gate_since_ms or None)
        case Phase.ALL_HELD:
            return Estimate(None, None, Reason.STOCK_HELD, flow.gate_since_ms or None)
        case Phase.OPEN | Phase.DRAINING:
            return _range(flow, ahead)
        case _:
            return Estimate(None, None, Reason.NO_HISTORY)


def _range(flow: Flow, ahead: int) -> Estimate:
    """The later of three: called at the set rate; a slot becomes free; what else holds the calls goes on as in the last minute."""
    need, rate = ahead + 1, flow.calls_per_minute / 60
    if rate == 0 or flow.history_ms < SHORTEST_HISTORY_MS or flow.limit == "rebuilding":
        return _unknown(flow)
    low, high = need / rate, need / (SLOWER * rate)
    slowed = high
    beyond = max(0, need - (flow.capacity - flow.slots))
    if beyond and (turnover := _turnover(flow)):
        low, high = max(low, beyond / (FASTER * turnover)), max(high, beyond / (SLOWER * turnover))
    elif beyond and (flow.limit == "capacity" or flow.capacity <= flow.slots):
        return _unknown(flow)
    if flow.limit in ("stock", "backlog"):
        measured = _per_second(flow.calls_last_minute, flow)
        if measured == 0:
            return _unknown(flow)
        low, high = max(low, need / (FASTER * measured)), max(high, need / (SLOWER * measured))
    told = _rounded(low)
    return Estimate(told, max(told, _rounded(high)), *_reason(flow, checkout_slow=high > slowed))


def _unknown(flow: Flow) -> Estimate:
    reason, at_ms = _reason(flow, checkout_slow=flow.capacity <= flow.slots)
    return Estimate(None, None, reason or Reason.NO_HISTORY, at_ms)


def _turnover(flow: Flow) -> float:
    """Slots that become free in a second once all are taken: they are kept as long as they were in the last minute (Little's law)."""
    return _per_second(flow.freed_last_minute, flow) * flow.capacity / max(1, flow.slots)


def _per_second(count: int, flow: Flow) -> float:
    """A count of the last minute; of a younger sale its count so far, as if it had gone on."""
    return count * 1_000 / min(MINUTE_MS, flow.history_ms)


def _reason(flow: Flow, *, checkout_slow: bool) -> tuple[Reason | None, int | None]:
    """What made the wait longer, the latest order of the operator before the rest; `checkout_slow`: slots do, whatever the last tick met."""
    ordered = [
        (flow.rate_lowered_ms, Reason.RATE_LOWERED),
        (flow.capacity_lowered_ms, Reason.CAPACITY_LOWERED),
    ]
    at, reason = max(ordered)
    if at and flow.now_ms - at < REASON_LASTS_MS:
        return reason, at
    since = flow.limit_since_ms or None
    match flow.limit:
        case "rebuilding":
            return Reason.REBUILDING, since
        case "stock":
            return Reason.STOCK_HELD, since
        case "capacity" | "backlog":
            return Reason.CHECKOUT_SLOW, since
        case _:
            return (Reason.CHECKOUT_SLOW, None) if checkout_slow else (None, None)


def _rounded(seconds: float) -> int:
    """Upwards to a step that a person would say: 5 s within a minute, 30 s within ten, then whole minutes."""
    step = 5 if seconds <= 60 else 30 if seconds <= 600 else 60
    return math.ceil(seconds / step) * step


def stock_outlook(stock: Stock, ahead: int, before_order: int) -> StockOutlook:
    """Whether a unit is left for somebody with `ahead` before them while `before_order` are called or shopping.

    Counts one unit a buyer. Units that are held may still return, so they make the outlook uncertain, not good.
    """
    if stock.state is StockState.UNKNOWN:
        return StockOutlook.UNKNOWN
    if stock.state is StockState.SOLD_OUT:
        return StockOutlook.GONE
    need = ahead + before_order + 1
    if need <= 0.9 * stock.free:
        return StockOutlook.LIKELY
    return StockOutlook.UNCERTAIN if need <= stock.free + 0.5 * stock.held else StockOutlook.UNLIKELY

"""How long it may take: a range in seconds that explains itself, and whether the stock can still reach a place. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import msgspec

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
    PROVIDER_DOWN = "provider_down"
    REBUILDING = "rebuilding"
    DRAWING = "drawing"
    NO_HISTORY = "no_history"


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A range in seconds, both ends None while nobody can say; `reason` holds since `reason_at_ms` (unix ms)."""

    low_s: int | None
    high_s: int | None
    reason: Reason | None = None
    reason_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """How the line moves. `limit` is what held the last tick back: rate, capacity, stock, backlog, provider_down, rebuilding or none. Moments in unix ms.

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


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a flow promises to everybody in line, or `unknown` where nobody can say. Speeds per second.

    Calls come at `fast` at most and `slow` at least. Whoever stands behind the `free` slots (below 0: more are taken than there may
    be) waits for others to give theirs back as well, `turnover` of them at a time; `stuck` is their answer while none does.
    """

    fast: float = 0.0
    slow: float = 0.0
    free: int = 0
    turnover: float = 0.0
    reason: tuple[Reason, int | None] | None = None
    stuck: Estimate | None = None
    unknown: Estimate | None = None

    def estimate(self, ahead: int) -> Estimate:
        """The range for somebody with `ahead` tickets before them: called in time, and a slot free, whichever comes later."""
        if self.unknown is not None:
            return self.unknown
        need, beyond = ahead + 1, ahead + 1 - self.free
        low, high, reason = need / self.fast, need / self.slow, self.reason
        if beyond > 0 and self.stuck is not None:
            return self.stuck
        if beyond > 0 and self.turnover:
            low = max(low, beyond / (FASTER * self.turnover))
            by_slots = beyond / (SLOWER * self.turnover)
            if by_slots > high:
                high, reason = by_slots, reason or (Reason.CHECKOUT_SLOW, None)
        soonest, latest = _rounded(low), _rounded(high)
        if latest < soonest:
            latest = soonest
        return Estimate(soonest, latest) if reason is None else Estimate(soonest, latest, *reason)


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
        case Phase.OPEN | Phase.DRAINING if flow.limit == "provider_down":
            return Forecast(unknown=Estimate(None, None, Reason.PROVIDER_DOWN, flow.limit_since_ms or None))
        case Phase.OPEN | Phase.DRAINING:
            return _moving(flow)
        case _:
            return Forecast(unknown=Estimate(None, None, Reason.NO_HISTORY))


def _moving(flow: Flow) -> Forecast:
    """Called at the set rate, unless stock or workers hold the calls: then as many as in the last minute."""
    reason, rate = _reason(flow), flow.calls_per_minute / 60
    fast, slow = rate, SLOWER * rate
    if flow.limit in ("stock", "backlog"):
        measured = _per_second(flow.calls_last_minute, flow)
        fast, slow = min(rate, FASTER * measured), SLOWER * min(rate, measured)
    if slow == 0 or flow.history_ms < SHORTEST_HISTORY_MS or flow.limit == "rebuilding":
        return Forecast(unknown=Estimate(None, None, *(reason or (Reason.NO_HISTORY, None))))
    free, turnover, stuck = flow.capacity - flow.slots, _turnover(flow), None
    if turnover == 0 and (free <= 0 or flow.limit == "capacity"):
        stuck = Estimate(None, None, *(reason or (Reason.CHECKOUT_SLOW, None)))
    return Forecast(fast, slow, free, turnover, reason, stuck)


def _turnover(flow: Flow) -> float:
    """Slots that become free in a second once all are taken: they are kept as long as they were in the last minute (Little's law)."""
    return _per_second(flow.freed_last_minute, flow) * flow.capacity / max(1, flow.slots)


def _per_second(count: int, flow: Flow) -> float:
    """A count of the last minute; of a younger sale its count so far, as if it had gone on."""
    return count * 1_000 / min(MINUTE_MS, max(SHORTEST_HISTORY_MS, flow.history_ms))


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

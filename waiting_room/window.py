"""The window of a sale: its settings as the room sees them, its stock, and the phase that follows from both and the wall time.

`phase` is the reference for `_shared.lua`, which answers the same question inside Redis. Knows neither tickets nor Redis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LOW_STOCK_SHARE = 0.10


class Control(StrEnum):
    """What the operator has ordered."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    DRAINING = "draining"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """What a sale is in, as everybody sees it."""

    DRAFT = "draft"
    ANNOUNCED = "announced"
    LOBBY = "lobby"
    OPEN = "open"
    PAUSED = "paused"
    HALTED = "halted"
    DRAINING = "draining"
    ALL_HELD = "all_held"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class StockState(StrEnum):
    """What is left: plenty, at most a tenth, nothing but units may return, nothing, or not known."""

    AVAILABLE = "available"
    LOW = "low"
    ALL_HELD = "all_held"
    SOLD_OUT = "sold_out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Stock:
    """Units of a whole sale, from the copy in Redis: it informs and can never sell. `known` is False without a copy."""

    allotted: int
    held: int
    sold: int
    known: bool = True

    @classmethod
    def unknown(cls) -> Stock:
        return cls(0, 0, 0, known=False)

    @property
    def free(self) -> int:
        """Units that are neither held nor sold."""
        return max(0, self.allotted - self.held - self.sold)

    @property
    def state(self) -> StockState:
        if not self.known:
            return StockState.UNKNOWN
        if self.sold >= self.allotted:
            return StockState.SOLD_OUT
        if self.free == 0:
            return StockState.ALL_HELD
        return StockState.LOW if self.free <= self.allotted * LOW_STOCK_SHARE else StockState.AVAILABLE


@dataclass(frozen=True, slots=True)
class SaleSettings:
    """A sale's settings as published for the room. Moments are unix ms, durations ms.

    `over_call_limit` is a factor: 1.0 calls no more buyers than there are free units, 2.0 at most twice as many.
    """

    version: int
    slug: str
    title: str
    mode: str
    control: Control
    lobby_opens_at_ms: int
    opens_at_ms: int
    closes_at_ms: int
    calls_per_minute: int
    capacity: int
    turn_window_ms: int
    comeback_ms: int
    hold_ms: int
    pass_ms: int
    over_call_limit: float
    message_ko: str | None = None
    message_en: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> SaleSettings:
        """Read the settings hash. Raises ValueError when a field is missing or malformed: there are no defaults."""
        try:
            return cls(
                version=int(fields["version"]),
                slug=fields["slug"],
                title=fields["title"],
                mode=fields["mode"],
                control=Control(fields["control"]),
                over_call_limit=int(fields["over_call_limit"]) / 100,
                message_ko=fields.get("message_ko") or None,
                message_en=fields.get("message_en") or None,
                **{name: _whole(fields[name]) for name in WHOLE_FIELDS},
            )
        except KeyError as missing:
            raise ValueError(f"the settings of the sale lack {missing}") from missing


WHOLE_FIELDS = (
    "lobby_opens_at_ms",
    "opens_at_ms",
    "closes_at_ms",
    "calls_per_minute",
    "capacity",
    "turn_window_ms",
    "comeback_ms",
    "hold_ms",
    "pass_ms",
)


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number


def phase(settings: SaleSettings, stock: Stock, now_ms: int, *, unopened: bool = False) -> Phase:
    """The phase of a sale at a wall time (unix ms). Who calls it takes care that `now_ms` never goes back.

    A draw is `unopened` until its opening was written, which closes its lobby; the time alone does not.

    The first that holds: the sale's end, its beginning, a halt, the end of its stock, a pause, a drain, stock that may return.
    """
    match settings.control:
        case Control.DRAFT | Control.CANCELLED | Control.CLOSED as final:
            return Phase(final)
        case control:
            pass
    if now_ms >= settings.closes_at_ms:
        return Phase.CLOSED
    if now_ms < settings.lobby_opens_at_ms:
        return Phase.ANNOUNCED
    if unopened or now_ms < settings.opens_at_ms:
        return Phase.DRAINING if control is Control.DRAINING else Phase.LOBBY
    return _phase_while_open(control, stock.state)


def _phase_while_open(control: Control, stock: StockState) -> Phase:
    if control is Control.HALTED:
        return Phase.HALTED
    if stock is StockState.SOLD_OUT:
        return Phase.SOLD_OUT
    if control in (Control.PAUSED, Control.DRAINING):
        return Phase(control)
    return Phase.ALL_HELD if stock is StockState.ALL_HELD else Phase.OPEN

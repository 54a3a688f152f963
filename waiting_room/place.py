"""What a buyer is told of their place: from the figures that one script answered, pure.

`Sight` is the script's answer (scripts/_shared.lua), `Place` what page and API show.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from waiting_room.clock import on_the_wall
from waiting_room.estimate import Estimate, Flow, Reason, StockOutlook, estimate, stock_outlook
from waiting_room.polling import Outlook, PollLimits, poll_after_ms
from waiting_room.states import RecordState, TicketState, visible_state
from waiting_room.window import Phase, Stock

_IN_LINE = frozenset({TicketState.LOBBY, TicketState.WAITING, TicketState.ALL_HELD})


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """The sale around its tickets at one instant. Names, units and clocks as in the scripts."""

    phase: Phase
    store_id: str
    now_ms: int
    clock_ms: int
    comeback_ms: int
    opens_at_ms: int
    calls_per_minute: int
    calls_last_minute: int
    calling_ms: int
    gate_since_ms: int
    limit: str
    limit_since_ms: int
    rate_lowered_ms: int
    capacity_lowered_ms: int
    lost_ms: int
    settled_ms: int
    allotted: int
    held: int
    sold: int
    waiting: int
    before_order: int
    capacity: int
    slots: int
    freed_last_minute: int


class Sight(Around, frozen=True, kw_only=True):
    """A ticket and the sale around it."""

    state: RecordState
    number: int
    ahead: int | None = None
    turn: int = 0
    outcome: str | None = None
    turn_ends_ms: int | None = None
    extended: bool = False
    comeback_ends_ms: int | None = None
    created: bool = False
    rejoined: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A buyer's place. Moments are unix ms; `ahead`, `position`, `waiting` and `estimate` are None for who is not in line.

    After a loss the first three are None until everybody has had the time to come back; the number is there at once.

    `created`: a new number was given; `rejoined`: a missed turn's buyer came back. `outcome` (paid | ended) when done.
    """

    state: TicketState
    number: int
    phase: Phase
    store_id: str
    poll_after_ms: int
    stock_outlook: StockOutlook
    ahead: int | None = None
    position: int | None = None
    waiting: int | None = None
    estimate: Estimate | None = None
    turn_expires_at_ms: int | None = None
    extended: bool = False
    comeback_until_ms: int | None = None
    created: bool = False
    rejoined: bool = False
    outcome: str | None = None


def place_of(sight: Sight, limits: PollLimits, chance: float) -> Place:
    """The place that a sight shows; `chance` in [0, 1) spreads the polls."""
    state = visible_state(sight.phase, sight.state)
    in_line = state in _IN_LINE and sight.ahead is not None
    ahead = sight.ahead or 0
    expected = _expected(sight, ahead) if in_line else None
    shown = in_line and sight.now_ms >= sight.settled_ms
    return Place(
        state=state,
        number=sight.number,
        phase=sight.phase,
        store_id=sight.store_id,
        poll_after_ms=poll_after_ms(_outlook(sight, state, expected), limits, chance),
        stock_outlook=_stock_outlook(sight),
        ahead=ahead if shown else None,
        position=ahead + 1 if shown else None,
        waiting=sight.waiting if shown else None,
        estimate=expected,
        turn_expires_at_ms=_on_the_wall(sight.turn_ends_ms, sight.clock_ms, sight.now_ms),
        extended=sight.extended,
        comeback_until_ms=_on_the_wall(sight.comeback_ends_ms, sight.comeback_ms, sight.now_ms),
        created=sight.created,
        rejoined=sight.rejoined,
        outcome=sight.outcome,
    )


def _expected(sight: Sight, ahead: int) -> Estimate:
    if sight.now_ms < sight.settled_ms:
        return Estimate(None, None, Reason.REBUILDING, sight.lost_ms)
    return estimate(_flow(sight), ahead)


def _on_the_wall(deadline_ms: int | None, clock_ms: int, wall_ms: int) -> int | None:
    return None if deadline_ms is None else on_the_wall(deadline_ms, clock_ms, wall_ms)


def _flow(sight: Sight) -> Flow:
    return Flow(
        phase=sight.phase,
        calls_per_minute=sight.calls_per_minute,
        calls_last_minute=sight.calls_last_minute,
        history_ms=sight.calling_ms,
        capacity=sight.capacity,
        slots=sight.slots,
        freed_last_minute=sight.freed_last_minute,
        limit=sight.limit,
        limit_since_ms=sight.limit_since_ms,
        gate_since_ms=sight.gate_since_ms,
        rate_lowered_ms=sight.rate_lowered_ms,
        capacity_lowered_ms=sight.capacity_lowered_ms,
        now_ms=sight.now_ms,
    )


def _outlook(sight: Sight, state: TicketState, expected: Estimate | None) -> Outlook:
    ahead = sight.ahead or 0
    wait_ms: int | None = None
    if expected is not None and expected.low_s is not None:
        wait_ms = expected.low_s * 1000
    elif sight.calls_per_minute > 0:
        wait_ms = ahead * 60_000 // sight.calls_per_minute  # never slower than the operator wants it
    return Outlook(
        state=state,
        ahead=ahead,
        waiting=sight.waiting,
        wait_ms=wait_ms,
        opens_in_ms=max(0, sight.opens_at_ms - sight.now_ms),
    )


def _stock_outlook(sight: Sight) -> StockOutlook:
    stock = Stock(sight.allotted, sight.held, sight.sold)
    if sight.state is RecordState.WAITING:
        return stock_outlook(stock, sight.ahead or 0, sight.before_order)
    return stock_outlook(stock, 0, 0)

"""What a buyer is told of their place: from the figures that one script answered, pure.

`Around` and `Seen` are the script's answer (scripts/_shared.lua), in one object where it is about one ticket; `Place` is what page
and API show.
"""

from __future__ import annotations

import msgspec

from waiting_room.clock import on_the_wall
from waiting_room.estimate import (
    Estimate,
    Flow,
    Forecast,
    Reach,
    Reason,
    StockOutlook,
    forecast,
    reach,
    stock_outlook,
)
from waiting_room.polling import Outlook, PollLimits, poll_after_ms, poll_after_waiting_ms
from waiting_room.states import RecordState, TicketState, visible_state
from waiting_room.window import Phase, Stock, StockState

# While the list of a draw is made, a small crowd asks for its numbers about every 3 s.
_DRAWING_MS = 30_000
_IN_LINE = frozenset({TicketState.LOBBY, TicketState.WAITING, TicketState.ALL_HELD})
_OPENED = (TicketState.WAITING, TicketState.ALL_HELD)


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """The sale around its tickets at one instant. Names, units and clocks as in the scripts; `draw` is the stage of a draw."""

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
    draw: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket itself. `number` and `ahead` are None while a draw keeps its places secret; `mark` is the number that the buyer's
    ticket shall carry.
    """

    state: RecordState
    mark: int
    number: int | None = None
    ahead: int | None = None
    turn: int = 0
    outcome: str | None = None
    turn_ends_ms: int | None = None
    extended: bool = False
    comeback_ends_ms: int | None = None
    created: bool = False
    rejoined: bool = False


class Place(msgspec.Struct, frozen=True, gc=False):
    """A buyer's place. Moments are unix ms; `ahead`, `position`, `waiting` and `estimate` are None for who is not in line.

    After a loss the first three are None until everybody has had the time to come back; the number is there at once. Before a
    draw `number`, `ahead`, `position` and `estimate` are None, and nothing else depends on the place. `mark` goes into the ticket.

    `created`: a new number was given; `rejoined`: a missed turn's buyer came back. `outcome` (paid | ended) when done.
    """

    state: TicketState
    number: int | None
    mark: int
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


class Scene(msgspec.Struct, frozen=True):
    """What the place of a waiting ticket is made of beside the ticket: worked out once, for as many as ask."""

    around: Around
    state: TicketState
    in_line: bool
    forecast: Forecast
    reach: Reach

    def place(
        self,
        number: int,
        ahead: int,
        now_ms: int,
        limits: PollLimits,
        chance: float,
        seen: Seen | None = None,
    ) -> Place:
        """The place at `number` with `ahead` before it, at `now_ms` (unix ms); `seen` adds how it came about."""
        around = self.around
        waiting, settled = around.waiting, now_ms >= around.settled_ms
        expected = None
        if self.in_line:
            expected = self.forecast.estimate(ahead) if settled else _rebuilding(around)
        wait_ms = _wait_ms(around, ahead, expected)
        if self.state in _OPENED:
            poll_ms = poll_after_waiting_ms(wait_ms, limits, chance)
        else:
            asked_as = Outlook(self.state, ahead, waiting, wait_ms, max(0, around.opens_at_ms - now_ms))
            poll_ms = poll_after_ms(asked_as, limits, chance)
        shown = self.in_line and settled
        return Place(  # by position, in the order above: a crowd's polls make one each
            self.state,
            number,
            number if seen is None else seen.mark,
            around.phase,
            around.store_id,
            poll_ms,
            self.reach.outlook(ahead),
            ahead if shown else None,
            ahead + 1 if shown else None,
            waiting if shown else None,
            expected,
            created=seen is not None and seen.created,
            rejoined=seen is not None and seen.rejoined,
        )

    def secret_place(
        self, mark: int, now_ms: int, limits: PollLimits, chance: float, seen: Seen | None = None
    ) -> Place:
        """The place of a ticket with this `mark` before the draw: it says what holds for everybody, and depends on nothing else."""
        around = self.around
        in_lobby = self.state is TicketState.LOBBY
        asked_as = Outlook(
            self.state,
            0,
            around.waiting,
            None if in_lobby else max(_DRAWING_MS, 2 * around.waiting),
            max(0, around.opens_at_ms - now_ms),
        )
        expected = None
        if self.in_line and not in_lobby:
            expected = Estimate(None, None, Reason.DRAWING, around.gate_since_ms or None)
        gone = _stock(around).state is StockState.SOLD_OUT
        return Place(
            state=self.state,
            number=None,
            mark=mark,
            phase=around.phase,
            store_id=around.store_id,
            poll_after_ms=poll_after_ms(asked_as, limits, chance),
            stock_outlook=StockOutlook.GONE if gone else StockOutlook.UNCERTAIN,
            waiting=around.waiting if self.in_line and now_ms >= around.settled_ms else None,
            estimate=expected,
            created=seen is not None and seen.created,
        )


def scene_of(around: Around) -> Scene:
    """The sale around it, for a ticket that waits."""
    state = visible_state(around.phase, RecordState.WAITING)
    return Scene(
        around=around,
        state=state,
        in_line=state in _IN_LINE,
        forecast=forecast(_flow(around)),
        reach=reach(_stock(around), around.before_order),
    )


def place_of(scene: Scene, seen: Seen, limits: PollLimits, chance: float) -> Place:
    """The place of a ticket as it was seen in this scene; `chance` in [0, 1) spreads the polls."""
    around = scene.around
    if seen.state is RecordState.WAITING:
        if seen.number is None or seen.ahead is None:
            return scene.secret_place(seen.mark, around.now_ms, limits, chance, seen)
        return scene.place(seen.number, seen.ahead, around.now_ms, limits, chance, seen)
    state = visible_state(around.phase, seen.state)
    opens_in_ms = max(0, around.opens_at_ms - around.now_ms)
    asked_as = Outlook(state, 0, around.waiting, _wait_ms(around, 0, None), opens_in_ms)
    return Place(
        state=state,
        number=seen.number,
        mark=seen.mark,
        phase=around.phase,
        store_id=around.store_id,
        poll_after_ms=poll_after_ms(asked_as, limits, chance),
        stock_outlook=stock_outlook(_stock(around), 0, 0),
        turn_expires_at_ms=_on_the_wall(seen.turn_ends_ms, around.clock_ms, around.now_ms),
        extended=seen.extended,
        comeback_until_ms=_on_the_wall(seen.comeback_ends_ms, around.comeback_ms, around.now_ms),
        created=seen.created,
        rejoined=seen.rejoined,
        outcome=seen.outcome,
    )


def _rebuilding(around: Around) -> Estimate:
    return Estimate(None, None, Reason.REBUILDING, around.lost_ms)


def _on_the_wall(deadline_ms: int | None, clock_ms: int, wall_ms: int) -> int | None:
    return None if deadline_ms is None else on_the_wall(deadline_ms, clock_ms, wall_ms)


def _wait_ms(around: Around, ahead: int, expected: Estimate | None) -> int | None:
    if expected is not None and expected.low_s is not None:
        return expected.low_s * 1000
    if around.calls_per_minute > 0:
        return ahead * 60_000 // around.calls_per_minute  # never slower than the operator wants it
    return None


def _flow(around: Around) -> Flow:
    return Flow(
        phase=around.phase,
        calls_per_minute=around.calls_per_minute,
        calls_last_minute=around.calls_last_minute,
        history_ms=around.calling_ms,
        capacity=around.capacity,
        slots=around.slots,
        freed_last_minute=around.freed_last_minute,
        limit=around.limit,
        limit_since_ms=around.limit_since_ms,
        gate_since_ms=around.gate_since_ms,
        rate_lowered_ms=around.rate_lowered_ms,
        capacity_lowered_ms=around.capacity_lowered_ms,
        now_ms=around.now_ms,
    )


def _stock(around: Around) -> Stock:
    return Stock(around.allotted, around.held, around.sold)

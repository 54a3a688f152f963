"""What goes into a tick and what comes out of it, and what the controller reads and writes beside it. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from waiting_room.pace import Allowance, Figures
from waiting_room.window import Phase


@dataclass(frozen=True, slots=True)
class Beat:
    """One tick to be made. The same `tick_id` again gets the reply of the first time. Times in ms. `hold`: why nobody shall be
    called, which then is the limit that is shown; "" for no such reason.
    """

    tick_id: str
    dt_ms: int
    lease_ms: int
    allowance: Allowance
    hold: str = ""


class TickRefusal(StrEnum):
    """Why a tick did nothing."""

    NOT_LEADER = "not_leader"
    UNCONFIRMED = "unconfirmed"  # the store was lost or restarted since it was confirmed
    UNPUBLISHED = "unpublished"  # settings or stock are missing


class TickReply(Figures, frozen=True, kw_only=True):
    """The figures after a tick (scripts/tick.lua), also kept as the digest. `calls` is how many this tick called;
    `more` says that nothing but the length of one step kept it from calling on.

    `gate` is "open", the phase that lets nobody be called, or "drawing" while a draw has no list; `limit` what held the tick back: rate, capacity, stock, backlog, provider_down, rebuilding, none.

    `draw` is the stage of a draw (scripts/_shared.lua), `opened_ms` when it was opened (unix ms), `unnumbered` how many tickets of
    its lobby have no number though the list is public.
    """

    tick_id: str
    calls: int
    more: bool
    phase: Phase
    gate: str
    gate_since_ms: int
    limit: str
    limit_since_ms: int
    as_of_ms: int
    store_id: str
    clock_ms: int
    comeback_ms: int
    now_serving: int
    missed: int
    ordering: int
    capacity: int
    next_number: int
    block_left: int
    spare_ready: bool
    calls_logged: int
    draw: str = ""
    opened_ms: int = 0
    unnumbered: int = 0


@dataclass(frozen=True, slots=True)
class CallRow:
    """One entry of the call log: call, claim, renew (of a pass), miss, return, move, lapse, free, or addendum to a draw.

    `entry_id` is unique over all stores of a sale, and sorts as text in the order of the log.
    """

    entry_id: str
    stream_id: str
    event: str
    ticket_id: str
    number: int
    turn: int
    detail: str
    at_ms: int

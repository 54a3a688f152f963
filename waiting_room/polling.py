"""When to ask again: near the front often, far behind seldom, in proportion to the wait, never all at once. Pure: chance is an argument."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from waiting_room.states import TicketState

# Nobody who is about to be called may sleep through the 45 s in which a called ticket must be seen.
SHARE_OF_WAIT = 10
OPENING_RATE_PER_S = 5_000
OPENING_SPREAD_MS = 5_000
_JITTER = 0.4


@dataclass(frozen=True, slots=True)
class PollLimits:
    """The shortest and longest time between two polls that the server asks for, in ms."""

    floor_ms: int = 1_300
    ceiling_ms: int = 30_000


class Outlook(msgspec.Struct, frozen=True, gc=False):
    """What a ticket's next poll depends on. Times in ms; `wait_ms` None when nobody knows; `opens_in_ms` is 0 once open."""

    state: TicketState
    ahead: int
    waiting: int
    wait_ms: int | None
    opens_in_ms: int = 0


def poll_after_ms(outlook: Outlook, limits: PollLimits, chance: float) -> int:
    """Milliseconds until the next poll; `chance` is uniform in [0, 1).

    Within [floor, ceiling], but for the first poll after an opening: it falls at random after the opening itself.
    """
    if outlook.state is TicketState.LOBBY and outlook.opens_in_ms > 0:
        return _in_lobby(outlook, limits, chance)
    return _spread(_interval(outlook, limits), limits, chance)


def poll_after_waiting_ms(wait_ms: int | None, limits: PollLimits, chance: float) -> int:
    """As `poll_after_ms`, for who is in a line that has opened."""
    return _spread(_share_of(wait_ms, limits), limits, chance)


def _spread(interval_ms: float, limits: PollLimits, chance: float) -> int:
    wanted = interval_ms * (1 - _JITTER / 2 + _JITTER * chance)
    if wanted >= limits.ceiling_ms:
        return limits.ceiling_ms
    return int(wanted) if wanted > limits.floor_ms else limits.floor_ms


def _interval(outlook: Outlook, limits: PollLimits) -> float:
    match outlook.state:
        case TicketState.CALLED | TicketState.MISSED:
            return 3 * limits.floor_ms
        case TicketState.ADMITTED:
            return limits.ceiling_ms / 3
        case TicketState.WAITING | TicketState.ALL_HELD | TicketState.LOBBY:
            return _share_of(outlook.wait_ms, limits)
        case _:
            return limits.ceiling_ms


def _share_of(wait_ms: int | None, limits: PollLimits) -> float:
    return limits.ceiling_ms / 3 if wait_ms is None else wait_ms / SHARE_OF_WAIT


def _in_lobby(outlook: Outlook, limits: PollLimits, chance: float) -> int:
    """Seldom while the opening is far; then once, spread after it, and the front of the line sooner than its end.

    Nobody at the front is sent away for longer than ceiling and spread, since an operator may open sooner than was said.

    Before a draw there is no front, and nobody knows a wait: everybody falls anywhere in the spread.
    """
    if outlook.opens_in_ms > limits.ceiling_ms:
        return int(limits.ceiling_ms * (1 - _JITTER * chance))
    crowd = max(OPENING_SPREAD_MS, outlook.waiting * 1000 // OPENING_RATE_PER_S)
    spread = crowd if outlook.wait_ms is None else min(crowd, max(OPENING_SPREAD_MS, outlook.wait_ms))
    return outlook.opens_in_ms + max(limits.floor_ms, int(spread * chance))

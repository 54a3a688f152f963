"""The words and the moves of a reservation: the units that one order has of one sale item. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from shop.errors import IllegalMove


class ReservationState(StrEnum):
    """`released` is final: taking stock again is a new row."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    RETURNED = "returned"


_R = ReservationState
RESERVATION_MOVES: Mapping[ReservationState, frozenset[ReservationState]] = {
    _R.HELD: frozenset({_R.COMMITTED, _R.RELEASED}),
    _R.COMMITTED: frozenset({_R.RETURNED}),
    _R.RELEASED: frozenset(),
    _R.RETURNED: frozenset(),
}


def move_reservation(current: ReservationState, wanted: ReservationState) -> ReservationState:
    """The new state of a reservation, or `IllegalMove` naming both."""
    if wanted not in RESERVATION_MOVES[current]:
        raise IllegalMove("reservation", current, wanted)
    return wanted

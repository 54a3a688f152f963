"""Of the reference: a guest's place moves to the account of its buyer; of two places the lower number stays."""

from __future__ import annotations

from dataclasses import replace

from tests.model.places import UNAVAILABLE, Answer, Place, Places, Shown

MOVABLE = ("waiting", "called", "missed")


def adopt(room: Places, device: str, account: str, shown: Shown) -> Answer:
    """The device's place ends, and the account has it, unless the account's own is better or in checkout."""
    if not room.available:
        return UNAVAILABLE
    room._take_back(device, shown, by_lot=False)
    theirs, known = room.places.get(device), room.places.get(account)
    if room.draw not in ("", "drawn") or any(_is_undrawn(one) for one in (theirs, known)):
        return {"adopted": False}
    if theirs is None or theirs.state not in MOVABLE:
        return {"adopted": False}
    own = _told(known) if known is not None and known.state in MOVABLE else None
    theirs = _told(theirs)
    gone = Place("left", theirs.number, turn=theirs.turn, misses=theirs.misses, recorded=True)
    gone.ended = room.numbers_given
    room.places[device] = gone
    room._note("move", device, gone, "gone")
    in_checkout = known is not None and (known.state == "admitted" or known.outcome == "paid")
    if in_checkout or (own is not None and own.number <= theirs.number):
        _give_turn_up(room, device, theirs)
        return {"adopted": True}
    if own is not None:
        _give_turn_up(room, account, own)
    room.places[account] = moved = _moved(theirs, known)
    room._note("move", account, moved, f"{moved.state} {moved.misses}")
    return {"adopted": True}


def _is_undrawn(place: Place | None) -> bool:
    """Whether somebody waits for a number of a draw."""
    return place is not None and place.stands is not None and place.stands < 0


def _told(place: Place) -> Place:
    """With the number at which somebody stands, whatever is noted of them."""
    return place if place.stands is None else replace(place, number=place.stands)


def _moved(theirs: Place, known: Place | None) -> Place:
    """Turns go on above all that the account has had; what had ended before must not outlive the lower number."""
    had = known.turn if known is not None else 0
    turn = max(theirs.turn, had + 1 if theirs.state == "called" else had)
    moved = Place(
        theirs.state, theirs.number, theirs.stands, turn=turn, misses=theirs.misses, extended=theirs.extended
    )
    moved.recorded = turn > 0 or (known is not None and known.recorded)
    if known is not None and known.ended is not None:
        moved.ended = min(known.ended, theirs.number - 1)
    for deadline in ("turn_ends_ms", "unseen_ends_ms", "comeback_ends_ms"):
        setattr(moved, deadline, getattr(theirs, deadline))
    return moved


def _give_turn_up(room: Places, ticket: str, place: Place) -> None:
    """A turn that nobody takes any more frees its slot, as if its buyer had left."""
    if place.state == "called":
        room.turns_ended, room.no_shows = room.turns_ended + 1, room.no_shows + 1
        room._note("free", ticket, place, "left")

"""Of the reference: a draw, from the opening of its lobby to everybody's number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tests.model.places import ARRIVALS, Answer, Place, Places, _stands
from waiting_room.draw import DrawList

# How many tickets stand on a page of the list, and how many numbers are given at once, in a trial.
PAGE, AT_ONCE = 3, 2


@dataclass
class Listed:
    """What is kept of a draw outside of the room, whatever becomes of the store."""

    seed: bytes
    opened_ms: int | None = None
    tickets: list[str] = field(default_factory=list)
    public: bool = False

    @property
    def stage(self) -> str:
        if self.public:
            return "listed"
        return "lobby" if self.opened_ms is None else "opened"


def open_the_draw(room: Places) -> None:
    """One write of the leader; after a loss everybody gets the time to come back to the lobby first."""
    going_on = room.settings.control not in ("draft", "closed", "cancelled")
    on_time = room.opens_at_ms <= room.wall_ms < room.settings.closes_at_ms
    due = room.draw == "gathering" or (room.draw == "lobby" and going_on and on_time)
    if due and room.wall_ms >= room.settled_ms:
        room.opened_ms = room.opened_ms or room.wall_ms
        room.draw, room.lobby_size = "drawing", len(room.in_lobby())


def stage_after_loss(room: Places, book: Listed) -> None:
    """A draw goes on from what the books or the store know, whichever is later."""
    known, room.seed = room.draw, book.seed
    if book.public:
        room.draw = "drawn" if known == "drawn" else "listed"
        room.lobby_size = len(book.tickets)
    elif book.stage == "opened" or known not in ("", "lobby"):
        room.draw = "gathering"
    else:
        room.draw = "lobby"
    room.opened_ms = book.opened_ms or room.opened_ms


def go_on(room: Places, book: Listed, told: Answer) -> None:
    """The leader's clerk after a tick that said `told`: a page of the list, or some numbers."""
    if isinstance(told, str) or not (told["draw"] in ("drawing", "listed") or told["unnumbered"]):
        return
    if not book.public:
        book.opened_ms = told["opened_ms"] if book.opened_ms is None else book.opened_ms
    if not (room.available and room.leader):
        return
    if book.public:
        _number(room, book)
    elif room.draw == "drawing":
        listed = (room.lot_of(book.tickets[-1]), book.tickets[-1]) if book.tickets else (-2, "")
        behind = [ticket for ticket in room.in_lobby() if (room.lot_of(ticket), ticket) > listed]
        book.tickets += behind[:PAGE]
        book.public = not behind


def _number(room: Places, book: Listed) -> None:
    if room.draw == "drawing":
        room.draw, room.lobby_size = "listed", len(book.tickets)
    if not room.has_list:
        return
    drawn = DrawList(book.seed, "".join(f"{ticket}\n" for ticket in book.tickets).encode())
    for ticket in room.in_lobby()[:AT_ONCE]:
        place = drawn.place(ticket)
        room.places[ticket].stands = place
        if place != int(place):
            room._note("addendum", ticket, Place("", place), repr(place))
    if not room.in_lobby() and room.draw == "listed":
        _arrivals_follow(room)


def _arrivals_follow(room: Places) -> None:
    """Those who came after the opening stand behind the list; after the last of them people are called."""
    arrived = [ticket for ticket in room.line() if _stands(room.places[ticket]) > ARRIVALS][:AT_ONCE]
    for ticket in arrived:
        room.places[ticket].stands = room.arrival_place(math.floor(_stands(room.places[ticket])) - ARRIVALS)
    if len(arrived) < AT_ONCE:
        room.draw = "drawn"

"""What everybody may know of a draw, and what a buyer gets to recompute the own place."""

from __future__ import annotations

from datetime import datetime

from gateway.bodies.base import Body, Items


class DrawBody(Body, frozen=True):
    """The commitment of a draw; seed (hex), length and hash of the list once they are public."""

    commitment: str
    seed: str | None = None
    size: int | None = None
    list_hash: str | None = None


class DrawReceiptBody(Body, frozen=True):
    """What a buyer of the lobby needs to recompute the own place: what was promised before, and what was published after."""

    sale_id: str
    ticket_id: str
    commitment: str
    score: str
    seed: str | None = None
    number: int | None = None
    size: int | None = None
    list_hash: str | None = None


class LateTicketBody(Body, frozen=True):
    """A ticket of a lost store that came back after the list was public; `place` lies between two numbers of the list."""

    ticket_id: str
    place: str
    at: datetime


class DrawDocument(Body, frozen=True):
    """Everything that is public about a draw but its list. `list_url` is where that is read."""

    sale: str
    sale_id: str
    commitment: str
    commitment_is: str
    score: str
    opens_at: datetime
    addendum: list[LateTicketBody]
    opened_at: datetime | None = None
    published_at: datetime | None = None
    seed: str | None = None
    size: int | None = None
    list_hash: str | None = None
    list_url: str | None = None


class NumberedTicketBody(Body, frozen=True):
    """A line of the list."""

    number: int
    ticket_id: str


class DrawListPage(Items[NumberedTicketBody], frozen=True, kw_only=True):
    """The list of a draw, in its order."""

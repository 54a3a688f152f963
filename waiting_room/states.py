"""What state of a ticket its buyer sees: one total function, used by page, API and figures alike. Knows no Redis and no words for people."""

from __future__ import annotations

from enum import StrEnum

from waiting_room.window import Phase


class RecordState(StrEnum):
    """What the room has on record of a ticket."""

    WAITING = "waiting"
    CALLED = "called"
    MISSED = "missed"
    ADMITTED = "admitted"
    DONE = "done"
    LEFT = "left"
    LAPSED = "lapsed"


class TicketState(StrEnum):
    """What the buyer sees. `all_held`, `sold_out` and `closed` are views that end nothing by themselves."""

    LOBBY = "lobby"
    WAITING = "waiting"
    CALLED = "called"
    MISSED = "missed"
    ADMITTED = "admitted"
    DONE = "done"
    LEFT = "left"
    LAPSED = "lapsed"
    ALL_HELD = "all_held"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"


def visible_state(phase: Phase, record: RecordState) -> TicketState:
    """The state that a buyer sees. Total: every phase with every record has an answer.

    A turn or a pass outlives the closing, not a cancelled sale; what has ended stays ended whatever the sale does.
    """
    match record:
        case RecordState.DONE | RecordState.LEFT | RecordState.LAPSED:
            return TicketState(record)
        case RecordState.CALLED | RecordState.ADMITTED:
            return TicketState.CLOSED if phase is Phase.CANCELLED else TicketState(record)
        case RecordState.MISSED:
            return _in_line(phase, TicketState.MISSED)
        case RecordState.WAITING:
            return _in_line(phase, TicketState.WAITING)


def _in_line(phase: Phase, otherwise: TicketState) -> TicketState:
    match phase:
        case Phase.CLOSED | Phase.CANCELLED:
            return TicketState.CLOSED
        case Phase.SOLD_OUT:
            return TicketState.SOLD_OUT
        case Phase.ALL_HELD if otherwise is TicketState.WAITING:
            return TicketState.ALL_HELD
        case Phase.DRAFT | Phase.ANNOUNCED | Phase.LOBBY if otherwise is TicketState.WAITING:
            return TicketState.LOBBY
        case _:
            return otherwise

"""What a buyer sees of a ticket."""

from __future__ import annotations

import itertools

import pytest

from waiting_room.states import RecordState, TicketState, visible_state
from waiting_room.window import Phase


@pytest.mark.parametrize(("phase", "record"), list(itertools.product(Phase, RecordState)))
def test_every_ticket_has_a_visible_state_in_every_phase(phase: Phase, record: RecordState) -> None:
    assert isinstance(visible_state(phase, record), TicketState)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("record", [RecordState.DONE, RecordState.LEFT, RecordState.LAPSED])
def test_what_has_ended_stays_ended_whatever_the_sale_does(phase: Phase, record: RecordState) -> None:
    assert visible_state(phase, record) == record


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.CANCELLED])
@pytest.mark.parametrize("record", [RecordState.CALLED, RecordState.ADMITTED])
def test_a_turn_and_a_pass_outlive_everything_but_a_cancelled_sale(phase: Phase, record: RecordState) -> None:
    assert visible_state(phase, record) == record
    assert visible_state(Phase.CANCELLED, record) == TicketState.CLOSED


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.ANNOUNCED, TicketState.LOBBY),
        (Phase.LOBBY, TicketState.LOBBY),
        (Phase.OPEN, TicketState.WAITING),
        (Phase.PAUSED, TicketState.WAITING),
        (Phase.HALTED, TicketState.WAITING),
        (Phase.DRAINING, TicketState.WAITING),
        (Phase.ALL_HELD, TicketState.ALL_HELD),
        (Phase.SOLD_OUT, TicketState.SOLD_OUT),
        (Phase.CLOSED, TicketState.CLOSED),
        (Phase.CANCELLED, TicketState.CLOSED),
    ],
)
def test_who_waits_sees_what_the_sale_has_for_them(phase: Phase, expected: TicketState) -> None:
    assert visible_state(phase, RecordState.WAITING) is expected


def test_a_missed_turn_is_told_until_the_sale_is_over() -> None:
    assert visible_state(Phase.ALL_HELD, RecordState.MISSED) is TicketState.MISSED
    assert visible_state(Phase.SOLD_OUT, RecordState.MISSED) is TicketState.SOLD_OUT
    assert visible_state(Phase.CLOSED, RecordState.MISSED) is TicketState.CLOSED

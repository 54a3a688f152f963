"""What follows from what buyers saw: who was overtaken, and when all was well again."""

from __future__ import annotations

import pytest

from tests.faults.journal import Seen, overtaken, recovery_s

BLOW = 100.0


def seen(order_id: str = "", *, lane: int = 0, sent: float, accepted: float, decided: float | None) -> Seen:
    one = Seen(lane, sent_at=sent, asked_at=sent, order_id=order_id)
    one.accepted_at, one.decided_at = accepted, decided
    return one


FIRST = seen("first", sent=1.0, accepted=2.0, decided=9.0)
SECOND = seen("second", sent=3.0, accepted=4.0, decided=9.0)
BESIDE = seen("beside", sent=1.5, accepted=4.0, decided=9.0)


@pytest.mark.parametrize(
    ("seqs", "expected"),
    [
        ({"first": 1, "beside": 2, "second": 3}, 0),
        ({"beside": 1, "first": 2, "second": 3}, 0),  # both were under way: nobody can say who came first
        ({"second": 1, "first": 2, "beside": 3}, 1),
        ({"second": 2, "beside": 3}, 0),
    ],
)
def test_who_was_accepted_before_another_had_even_sent_is_overtaken_by_it(
    seqs: dict[str, int], expected: int
) -> None:
    assert overtaken([SECOND, FIRST, BESIDE], seqs) == expected


def test_lanes_do_not_overtake_each_other() -> None:
    other = seen("other", lane=1, sent=1.0, accepted=2.0, decided=9.0)
    assert overtaken([SECOND, other], {"second": 1, "other": 2}) == 0


def test_all_is_well_once_what_waited_is_decided_and_every_lane_has_decided_something_new() -> None:
    waited = seen(sent=98.0, accepted=99.0, decided=103.0)
    fresh = seen(sent=101.0, accepted=101.5, decided=102.0)
    later = seen(sent=110.0, accepted=111.0, decided=112.0)
    other = seen(lane=1, sent=101.0, accepted=104.0, decided=105.0)
    assert recovery_s([waited, fresh, later], BLOW) == pytest.approx(3.0)
    assert recovery_s([waited, fresh, later, other], BLOW) == pytest.approx(5.0)


def test_all_is_well_once_a_payment_made_after_the_blow_has_arrived() -> None:
    before, after = (seen(sent=1.0, accepted=2.0, decided=3.0) for _ in range(2))
    before.pressed_at, before.paid_at = 99.0, 120.0
    after.pressed_at, after.paid_at = 101.0, 107.0
    assert recovery_s([before, after], BLOW) == pytest.approx(7.0)

"""What follows from what buyers saw: who was overtaken, and when all was well again."""

from __future__ import annotations

import pytest

from tests.faults.journal import Recovery, Seen, overtaken, recovery

BLOW = 100.0


def seen(order_id: str = "", *, lane: int = 0, sent: float, accepted: float, decided: float | None) -> Seen:
    one = Seen(lane, sent_at=sent, order_id=order_id)
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


def test_recovery_is_the_longest_wait_for_a_decision_counted_from_the_blow() -> None:
    waited = seen(sent=90.0, accepted=99.0, decided=103.0)
    fresh = seen(lane=1, sent=101.0, accepted=103.0, decided=105.5)
    quick = seen(sent=150.0, accepted=150.1, decided=150.2)
    over = seen(sent=50.0, accepted=51.0, decided=99.0)
    assert recovery([waited, quick, over], BLOW) == Recovery(3.0, 0.0)
    assert recovery([waited, fresh, quick], BLOW) == Recovery(4.5, 0.0)
    assert recovery([over], BLOW) == Recovery(0.0, 0.0)


def test_payments_that_had_to_wait_are_told_apart() -> None:
    paid = seen(sent=1.0, accepted=2.0, decided=3.0)
    paid.pressed_at, paid.paid_at = 99.0, 107.0
    assert recovery([paid], BLOW) == Recovery(0.0, 7.0)

"""When paying counts as not working, and when as working again."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from shop.payments.health import RECENT_MS, SLOT_MS, WINDOW_MS, Calls, Health, judge, worth_a_probe

NOW = 1_000_000_000
UP, DOWN = Health(), Health(down=True)


def slots(*ago: tuple[int, int, int]) -> dict[int, Calls]:
    """(so many ms ago, answered, failed) each."""
    return {NOW - ms: Calls(answered, failed) for ms, answered, failed in ago}


def test_more_than_half_of_the_last_calls_failed_and_three_at_least() -> None:
    assert not judge(UP, slots((4_000, 0, 2)), NOW).down  # a lost answer or two hold nothing
    assert judge(UP, slots((4_000, 0, 3)), NOW).down
    assert not judge(UP, slots((20_000, 5, 0), (4_000, 0, 5)), NOW).down  # half is not more than half
    assert judge(UP, slots((20_000, 5, 0), (4_000, 0, 6)), NOW).down
    assert not judge(UP, slots((WINDOW_MS + 1, 0, 9)), NOW).down


def test_it_works_again_once_lately_nearly_all_was_answered_and_not_before() -> None:
    old = (20_000, 0, 50)
    assert judge(DOWN, slots(old), NOW).down
    assert judge(DOWN, slots(old, (1_000, 1, 0)), NOW).down
    assert judge(DOWN, slots(old, (1_000, 6, 6)), NOW).down  # it stumbles
    up = judge(DOWN, slots(old, (1_000, 2, 0)), NOW)
    assert not up.down
    later = slots((20_500, 0, 50), (1_500, 2, 0), (0, 0, 2))
    assert not judge(up, later, NOW + 500).down  # what has had its effect is not counted again
    assert judge(up, {**later, NOW + 400: Calls(0, 3)}, NOW + 500).down


calls = st.builds(Calls, st.integers(0, 50), st.integers(0, 50))
windows = st.dictionaries(st.integers(-40, 0).map(lambda at: NOW + at * SLOT_MS), calls, max_size=20)


@given(windows, st.booleans())
@example(
    {NOW: Calls(2, 0), NOW - 4 * SLOT_MS: Calls(0, 3)}, False
)  # it answers by now: no verdict for an instant
def test_it_is_never_down_without_failures_and_a_verdict_stands_while_nothing_happens(
    counted: dict[int, Calls], before: bool
) -> None:
    verdict = judge(Health(down=before), counted, NOW)
    assert judge(verdict, counted, NOW) == verdict or before
    failed = sum(one.failed for began, one in counted.items() if began >= NOW - WINDOW_MS)
    if not before and verdict.down:
        assert failed >= 3
        assert worth_a_probe(counted, NOW)  # somebody asks, so that it can end
    if before and not failed:
        well = sum(one.answered for began, one in counted.items() if began >= NOW - RECENT_MS) >= 2
        silent = not any(one.made for began, one in counted.items() if began >= NOW - WINDOW_MS)
        assert verdict.down is not (well or silent)


def test_a_hold_ends_when_nobody_has_failed_for_the_whole_window() -> None:
    """The probes stop with the last failure of the window; by then nothing says any more that it is down."""
    assert not worth_a_probe(slots((WINDOW_MS + SLOT_MS, 0, 9)), NOW)
    assert not judge(DOWN, slots((WINDOW_MS + SLOT_MS, 0, 9)), NOW).down

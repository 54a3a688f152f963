"""When a page or a program is asked to look again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from waiting_room.polling import OPENING_SPREAD_MS, Outlook, PollLimits, poll_after_ms
from waiting_room.states import TicketState

LIMITS = PollLimits(floor_ms=1_000, ceiling_ms=30_000)
CHANCES = st.floats(0, 1, exclude_max=True)
WAITS = st.none() | st.integers(0, 10**8)


def outlook(
    state: TicketState = TicketState.WAITING, wait_ms: int | None = 0, opens_in_ms: int = 0
) -> Outlook:
    return Outlook(state, ahead=10, waiting=1_000, wait_ms=wait_ms, opens_in_ms=opens_in_ms)


@given(st.sampled_from(TicketState), WAITS, CHANCES)
def test_any_poll_after_the_opening_stays_between_floor_and_ceiling(
    state: TicketState, wait_ms: int | None, chance: float
) -> None:
    assert LIMITS.floor_ms <= poll_after_ms(outlook(state, wait_ms), LIMITS, chance) <= LIMITS.ceiling_ms


@given(WAITS, CHANCES)
def test_nobody_sleeps_through_the_time_in_which_a_called_ticket_must_be_seen(
    wait_ms: int | None, chance: float
) -> None:
    assert poll_after_ms(outlook(wait_ms=wait_ms), LIMITS, chance) < 45_000


@given(st.integers(1, 60_000), st.integers(0, 10**6), CHANCES)
def test_nobody_in_a_lobby_sleeps_through_it_though_the_operator_opens_at_once(
    opens_in_ms: int, wait_ms: int, chance: float
) -> None:
    crowd = Outlook(TicketState.LOBBY, ahead=10**6, waiting=10**6, wait_ms=wait_ms, opens_in_ms=opens_in_ms)
    assert poll_after_ms(crowd, LIMITS, chance) < wait_ms + 45_000


@given(CHANCES)
def test_the_front_asks_within_two_seconds_and_the_far_end_seldom(chance: float) -> None:
    assert poll_after_ms(outlook(wait_ms=5_000), LIMITS, chance) <= 2_000
    assert poll_after_ms(outlook(wait_ms=3_600_000), LIMITS, chance) >= 24_000


@given(st.integers(1, 10**7), CHANCES)
def test_the_first_poll_after_the_opening_comes_after_it_unless_it_is_far(
    opens_in_ms: int, chance: float
) -> None:
    after = poll_after_ms(outlook(TicketState.LOBBY, 0, opens_in_ms), LIMITS, chance)
    if opens_in_ms > LIMITS.ceiling_ms:
        assert 0 < after <= LIMITS.ceiling_ms
    else:
        assert opens_in_ms < after <= opens_in_ms + OPENING_SPREAD_MS


def test_a_lobby_does_not_come_back_all_at_once() -> None:
    crowd = Outlook(TicketState.LOBBY, ahead=50_000, waiting=100_000, wait_ms=10**7, opens_in_ms=10_000)
    polls = [poll_after_ms(crowd, LIMITS, chance / 100) for chance in range(100)]
    assert max(polls) - min(polls) > 15_000, "100,000 at 5,000 a second"


@given(st.integers(0, 10**6), st.integers(0, LIMITS.ceiling_ms), WAITS, CHANCES)
def test_the_first_polls_after_the_opening_spread_over_the_time_that_the_crowd_needs(
    waiting: int, opens_in_ms: int, wait_ms: int | None, chance: float
) -> None:
    crowd = Outlook(
        TicketState.LOBBY, ahead=waiting, waiting=waiting, wait_ms=wait_ms, opens_in_ms=opens_in_ms
    )
    after = poll_after_ms(crowd, LIMITS, chance)
    if opens_in_ms > 0:
        assert opens_in_ms < after <= opens_in_ms + max(5_000, waiting * 1_000 // 5_000)


def test_after_an_outage_nobody_is_asked_to_come_back_at_the_same_moment() -> None:
    polls = sorted(poll_after_ms(outlook(wait_ms=None), LIMITS, chance / 1_000) for chance in range(1_000))
    assert polls[-1] - polls[0] >= 3_000
    busiest = max(sum(at <= poll < at + 1_000 for poll in polls) for at in polls)
    assert busiest < 300, "of a thousand who know nothing of their wait"

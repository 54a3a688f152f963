"""Threads for what blocks: few, with a short queue, and nobody waits in it for long. Polls of one ticket: not too many."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bounded import BoundedPool, Comebacks, PollLimiter
from gateway.refusals import Overloaded, TooManyPolls
from tests.running import eventually


@pytest.fixture
def pool() -> Iterator[BoundedPool]:
    """One thread and two places in its queue."""
    pool = BoundedPool(1, 2, "test", patience_s=0.05)
    yield pool
    pool.shutdown()


def test_a_full_queue_refuses_at_once(pool: BoundedPool) -> None:
    go_on = threading.Event()
    for _ in range(3):
        pool.submit(go_on.wait)
    assert pool.inside == 3
    with pytest.raises(Overloaded) as refused:
        pool.submit(go_on.wait)
    assert 2 <= refused.value.retry_after_s <= 6
    waits = []
    for _ in range(400):
        with pytest.raises(Overloaded) as refused:
            pool.submit(go_on.wait)
        waits.append(refused.value.retry_after_s)
    assert max(waits[:20]) < min(waits[-20:]), (
        "the later somebody is refused, the later they are to come back"
    )
    assert max(waits) <= 10 * 1.25 + 6
    go_on.set()
    eventually(lambda: pool.inside == 0, "the queue has run dry")
    again = threading.Event()
    for _ in range(3):
        pool.submit(again.wait)
    with pytest.raises(Overloaded) as refused:
        pool.submit(again.wait)
    again.set()
    assert refused.value.retry_after_s <= 6, "a pool that has run dry owes nobody anything"


def test_whoever_waited_too_long_for_a_thread_is_refused_and_the_work_is_not_done(pool: BoundedPool) -> None:
    done: list[str] = []
    slow = pool.submit(lambda: time.sleep(0.1))
    late = pool.submit(done.append, "late")
    with pytest.raises(Overloaded):
        late.result(timeout=5)
    assert slow.result(timeout=5) is None, "what has begun is finished"
    assert done == []
    pool.submit(done.append, "in time").result(timeout=5)
    assert done == ["in time"]
    assert pool.inside == 0


@given(st.integers(1, 8), st.floats(0.001, 2), st.integers(1, 300))
def test_those_who_are_refused_come_back_one_after_the_other_as_fast_as_calls_end(
    threads: int, took_s: float, refused: int
) -> None:
    comebacks = Comebacks(threads, 60)
    for _ in range(200):
        comebacks.ended(took_s)
    waits = [comebacks.wait_s(1_000.0) for _ in range(refused)]
    expected = [min(60.0, place * took_s / threads) for place in range(1, refused + 1)]
    assert waits == pytest.approx(expected, rel=1e-3)
    assert comebacks.wait_s(1_000.0 + waits[-1]) == pytest.approx(took_s / threads, rel=1e-3), (
        "once all have had their time, it is only the next one's"
    )
    comebacks.idle()
    assert comebacks.wait_s(1_000.0) == pytest.approx(took_s / threads, rel=1e-3), "nobody is owed for ever"


# ---------------------------------------------------------------- polls of one ticket


class Polls:
    """A limiter with a clock that the test moves; `at` says whether a poll at that second is admitted."""

    def __init__(self, **options: int) -> None:
        self.now_s = 0.0
        self.waits: list[int] = []
        self.limiter = PollLimiter(clock=lambda: self.now_s, **options)

    def at(self, second: float, ticket: str = "ticket") -> bool:
        self.now_s = second
        try:
            self.limiter.admit(ticket)
        except TooManyPolls as refusal:
            self.waits.append(refusal.retry_after_s)
            return False
        return True


@given(st.lists(st.floats(0, 12), max_size=80), st.integers(2, 50))
def test_eight_polls_of_a_ticket_in_any_ten_seconds_pass_and_no_more(
    pauses: list[float], others: int
) -> None:
    polls, second, admitted = Polls(), 1.0, list[float]()
    for pause in pauses:
        second += pause
        for other in range(others):
            assert polls.at(second, f"{second} {other}"), "others are not counted in"
        recent = [at for at in admitted if second - at < 10]
        assert polls.at(second) == (len(recent) < 8)
        if len(recent) < 8:
            admitted.append(second)
    assert all(1 <= wait <= 11 for wait in polls.waits)


def test_no_more_tickets_are_remembered_than_was_said() -> None:
    polls = Polls(remembered=100)
    for ticket in range(1_000):
        assert polls.at(1 + ticket / 1_000, str(ticket))
    assert len(polls.limiter._young) + len(polls.limiter._old) <= 100

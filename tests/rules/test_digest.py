"""Where a ticket stands by the digest, against a plain sorted list."""

from __future__ import annotations

import random
from bisect import bisect_left
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from waiting_room.digest import Digest, callable_since, locate, waits_at
from waiting_room.estimate import Estimate
from waiting_room.place import Around, Seen, place_of, scene_of
from waiting_room.polling import PollLimits
from waiting_room.states import RecordState
from waiting_room.window import Phase

EXACT = 1_000
QUIET: dict[str, Any] = {
    **dict.fromkeys(Around.__struct_fields__, 0),
    **{"phase": Phase.OPEN, "store_id": "store", "limit": "rate", "gate": "open", "now_serving": 0},
    **{"now_ms": 1_000_000, "calling_ms": 60_000, "allotted": 1_000},
    **{"calls_per_minute": 600, "calls_last_minute": 600, "capacity": 10**6},
}


def digest_of(scores: list[float], **changes: Any) -> Digest:
    """What the leader writes of a line of these places, all rising."""
    rank, last, ranks = EXACT - 1, len(scores) - 1, []
    while rank < last:
        rank = min(last, rank + max(1, int(rank * 0.005)))
        ranks.append(rank)
    lists: dict[str, Any] = {
        "waiting": len(scores),
        "head": scores[:EXACT],
        "step_ranks": ranks,
        "step_scores": [scores[rank] for rank in ranks],
    }
    return Digest(**(QUIET | lists | changes))


@st.composite
def lines(draw: st.DrawFn) -> list[float]:
    """Places of a line that people left in all sorts of ways: evenly, in stretches, or with everybody far apart."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    count = draw(st.sampled_from([0, 1, 2, 999, 1_000, 1_001, 1_200, 5_000, 20_000]))
    longest = draw(st.sampled_from([1, 3, 1_000]))
    at, scores = 0, []
    for _ in range(count):
        at += chance.randint(1, longest) if chance.random() < 0.99 else chance.randint(1, 10**6)
        scores.append(float(at))
    return scores


@given(lines(), st.integers(0, 2**32))
def test_a_place_is_exact_among_the_first_and_within_half_a_per_cent_behind(
    line: list[float], seed: int
) -> None:
    digest = digest_of(line)
    for rank in random.Random(seed).sample(range(len(line)), min(300, len(line))):
        told = locate(digest, line[rank])
        assert told is not None
        assert abs(told - rank) <= (0 if rank < EXACT else 0.005 * rank)


@given(lines(), st.integers(0, 2**32))
def test_who_stands_further_back_is_never_told_a_better_place(line: list[float], seed: int) -> None:
    digest, chance = digest_of(line), random.Random(seed)
    some = sorted(chance.sample(line, min(300, len(line))))
    told = [locate(digest, score) or 0 for score in some]
    assert told == sorted(told)


@given(lines(), st.integers(1, 2**40))
def test_any_score_has_an_answer_no_further_off_than_a_step(line: list[float], score: int) -> None:
    digest = digest_of(line)
    told, before = locate(digest, score), bisect_left(line, score)
    if told is None:
        assert line.count(score) == 0
        assert before < EXACT
    else:
        assert abs(told - before) <= max(1, 0.005 * before)


@given(lines().filter(bool), st.data())
def test_a_number_that_is_gone_is_never_told_a_place(line: list[float], data: st.DataObject) -> None:
    score = data.draw(st.sampled_from(line))
    assert waits_at(digest_of(line), score, gone={score}) is None
    assert waits_at(digest_of(line), score, gone=set()) is not None


def test_behind_the_exact_places_only_who_stands_behind_all_called_ones_is_known_to_wait() -> None:
    """After a loss people come back one by one: a number may have been called although lower ones have come back since."""
    line = [float(number) for number in range(1, 5_001)]
    digest = digest_of(line, now_serving=3_000)
    assert waits_at(digest, 500, set()) == 499
    assert waits_at(digest, 2_000, set()) is None
    assert waits_at(digest, 3_000, set()) is None
    assert waits_at(digest, 3_001, set()) == 3_000


def test_who_joined_after_the_digest_is_not_known_to_wait_but_counts_behind_all() -> None:
    digest = digest_of([1.0, 2.0, 3.0])
    assert waits_at(digest, 4, set()) is None
    assert locate(digest, 4) == 3
    assert locate(digest_of([]), 1) == 0


@given(st.integers(0, 60_000), st.integers(0, 10_000))
def test_so_many_count_as_called_as_the_rate_may_have_called_meanwhile(rate: int, age_ms: int) -> None:
    digest = digest_of([1.0], calls_per_minute=rate)
    assert callable_since(digest, age_ms) >= rate * age_ms / 60_000
    assert callable_since(digest_of([1.0], gate="paused", calls_per_minute=rate), age_ms) == 0


def test_a_place_from_the_digest_is_worded_like_one_from_the_line() -> None:
    digest = digest_of([float(number) for number in range(1, 101)])
    around = {name: getattr(digest, name) for name in Around.__struct_fields__}
    seen = Seen(state=RecordState.WAITING, number=50, mark=50, ahead=49)
    told = scene_of(digest).place(50, 49, digest.now_ms, PollLimits(), chance=0.5)
    assert told == place_of(scene_of(Around(**around)), seen, PollLimits(), chance=0.5)
    assert (told.position, told.waiting, told.estimate) == (50, 100, Estimate(5, 10))

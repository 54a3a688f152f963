"""Counting over the call log: nobody who was overtaken is missed, and nobody is said to have been who was not."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from shop.sales.turns import CallRow, Numbers, Turns, Waits, inversions, percentile
from shop.storage.columns import to_millis

OPENED = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
OPENED_MS = to_millis(OPENED)


def row(serial: int, event: str, number: int, *, store: str = "one", at_s: float = 0, **more: str) -> CallRow:
    at = OPENED + timedelta(seconds=at_s)
    ticket_id = more.get("ticket_id", f"ticket{number}")
    return CallRow(f"{serial:09d}.{store}", event, ticket_id, at, number, 1, more.get("detail", ""))


def read(rows: list[CallRow], marks: list[tuple[int, int]] | None = None) -> Turns:
    turns = Turns(Numbers(marks or [], OPENED_MS))
    for one in rows:
        turns.read(one)
    return turns


@given(st.lists(st.integers(0, 40), max_size=60))
def test_inversions_are_the_pairs_that_stand_the_wrong_way_round(numbers: list[int]) -> None:
    assert inversions(numbers) == sum(first > second for first, second in combinations(numbers, 2))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200), st.integers(1, 100))
def test_a_percentile_is_the_nearest_rank(values: list[int], share: int) -> None:
    rank = -(-len(values) * share // 100)
    assert percentile(Counter(values), share) == sorted(values)[rank - 1]
    assert percentile(Counter(), share) is None


def test_a_second_turn_at_the_old_place_overtakes_nobody() -> None:
    events = [("call", 1), ("call", 2), ("miss", 1), ("call", 3), ("return", 1), ("call", 1), ("call", 4)]
    turns = read([row(at, event, number) for at, (event, number) in enumerate(events)])
    assert (turns.calls, turns.called, turns.inversions()) == (5, 4, 0)
    assert (turns.events["miss"], turns.events["return"]) == (1, 1)


def test_who_was_overtaken_is_counted() -> None:
    turns = read([row(at, "call", number) for at, number in enumerate((1, 3, 4, 2))])
    assert turns.inversions() == 2


def test_who_comes_back_late_to_a_store_that_was_lost_was_not_overtaken_but_is_named() -> None:
    marks = [(9, OPENED_MS), (10_009, OPENED_MS + 60_000)]
    calls = [(1, "one", 0.0), (2, "one", 1.0), (5, "two", 30.0), (3, "two", 31.0), (10_002, "two", 62.0)]
    rows = [row(at, "call", number, store=store, at_s=at_s) for at, (number, store, at_s) in enumerate(calls)]
    turns = read(rows, marks)
    assert (turns.losses, turns.back_after_loss, turns.inversions(), turns.called) == (1, 1, 0, 5)
    # One who took a number after the loss was known to the line all the time.
    turns = read([*rows, row(9, "call", 10_001, store="two", at_s=63.0)], marks)
    assert turns.inversions() == 1


def test_waits_run_from_the_number_or_from_the_opening() -> None:
    marks = [(2, OPENED_MS - 60_000), (4, OPENED_MS + 10_000)]
    turns = read([row(n, "call", n, at_s=20) for n in range(1, 5)], marks)
    assert turns.waits() == Waits(10, 20, 20, 20)
    assert read([row(1, "call", 1)]).waits() == Waits()


def test_a_draws_lobby_waits_from_the_opening_and_is_held_against_its_list() -> None:
    numbers = Numbers([(3, OPENED_MS + 5_000)], OPENED_MS, lobby=2)
    turns = Turns(numbers, {1: "ticket1", 2: "ticket2"}.get)
    turns.read(row(1, "call", 1, at_s=8))
    turns.read(row(2, "call", 2, at_s=9, ticket_id="another"))
    turns.read(row(3, "call", 5, at_s=9))
    assert turns.off_the_list == 1
    assert turns.waits() == Waits(8, 9, 9, 9)
    assert numbers.given == 5

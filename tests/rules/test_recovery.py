"""What a ledger makes of the copied call log and the orders: the last that is known of every ticket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.recovery import Ledger, OrderRow, Served, turns_before
from waiting_room.ticking import CallRow

TICKET = "t" * 14
AT_MS = 1_700_000_000_123


def row(event: str, *, number: int = 5, turn: int = 1, detail: str = "", ticket: str = TICKET) -> CallRow:
    return CallRow("", "", event, ticket, number, turn, detail, AT_MS)


def served(*rows: CallRow, orders: tuple[OrderRow, ...] = ()) -> Served:
    """What is known of the only ticket."""
    ledger = Ledger()
    ledger.read_calls(rows)
    ledger.read_orders(orders)
    ((one,),) = ledger.batches(10)
    return one


CLAIMED = (row("call"), row("claim", detail="1700000900 k1"))
MISSED = (row("call"), row("miss"))


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ((row("call"),), "called"),
        (CLAIMED, "admitted"),
        (MISSED, "missed"),
        ((*MISSED, row("return")), "waiting"),
        ((*MISSED, row("return"), row("call", turn=2)), "called"),
        ((*MISSED, row("lapse")), "lapsed"),
        ((*CLAIMED, row("lapse", detail="pass_unused")), "lapsed"),
        ((*CLAIMED, row("free", detail="left")), "left"),
        ((*CLAIMED, row("free", detail="paid")), "done"),
        ((*CLAIMED, row("free", detail="ended"), row("call", number=9, turn=2)), "called"),
    ],
)
def test_the_last_event_of_a_ticket_says_its_state(rows: tuple[CallRow, ...], state: str) -> None:
    assert served(*rows).state == state


def test_a_pass_is_known_again_to_the_second() -> None:
    known = served(*CLAIMED)
    assert (known.turn, known.iat, known.exp, known.kid) == (1, AT_MS // 1000, 1_700_000_900, "k1")


def test_a_miss_counts_for_its_number_only() -> None:
    assert served(*MISSED, row("return"), row("call", turn=2)).misses == 1
    assert served(*MISSED, row("lapse"), row("call", number=9, turn=2)).misses == 0


def test_a_place_that_was_called_or_ended_ends_all_before_it_and_none_after_it() -> None:
    assert served(row("call")).ended == 4
    assert served(*CLAIMED, row("free", detail="left")).ended == 5


@pytest.mark.parametrize(
    ("state", "expected"),
    [("live", ("admitted", None)), ("paid", ("done", "paid")), ("ended", ("done", "ended"))],
)
@pytest.mark.parametrize("rows", [CLAIMED, (row("call"),), ()])
def test_an_order_tells_what_the_log_did_not_get(
    rows: tuple[CallRow, ...], state: str, expected: tuple[str, str | None]
) -> None:
    order = OrderRow("order", f"{TICKET}.1", state)  # type: ignore[arg-type]
    known = served(*rows, orders=(order,))
    assert known.state == expected[0]
    assert expected[1] is None or known.outcome == expected[1]
    assert (known.turn, known.order_id) == (1, "order")


def test_an_order_of_an_earlier_turn_changes_nothing() -> None:
    order = OrderRow("order", f"{TICKET}.1", "ended")
    known = served(*CLAIMED, row("free", detail="ended"), row("call", number=9, turn=2), orders=(order,))
    assert (known.state, known.turn, known.number) == ("called", 2, 9)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_turns_of_a_later_store_stand_above_all_that_an_earlier_one_can_have_given(sizes: list[int]) -> None:
    first = 1
    for size in sizes:
        # A number leads to two turns at most, and a number is needed before the first.
        most = turns_before(first) + 2 * size
        first += size
        assert turns_before(first) >= most


@given(st.integers(0, 50), st.integers(1, 7))
def test_batches_hold_every_ticket_once(count: int, size: int) -> None:
    ledger = Ledger()
    ledger.read_calls(row("call", ticket=f"ticket{n:08d}") for n in range(count))
    batches = list(ledger.batches(size))
    assert all(0 < len(batch) <= size for batch in batches)
    assert [one.ticket_id for batch in batches for one in batch] == [f"ticket{n:08d}" for n in range(count)]

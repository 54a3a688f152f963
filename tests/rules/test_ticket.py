"""The ticket: nobody can make, change or move one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.refusals import InvalidToken
from waiting_room.ticket import Ticket, TicketKeys, TicketReader, issue, read, ticket_id

KEYS = TicketKeys({"k1": b"1" * 32, "k2": b"2" * 32})
SALE = "sale0000001"
ID = ticket_id(b"i" * 32, SALE, "ann")
TICKET = Ticket(SALE, ID, 42, "store1")
TOKEN = issue(TICKET, "k1", KEYS)

NAMES = st.text(min_size=0, max_size=30)


@given(st.integers(1, 2**52), st.text("abc123_-", min_size=1, max_size=20), st.sampled_from(["k1", "k2"]))
def test_any_ticket_that_was_issued_is_read_back_as_it_was(number: int, store_id: str, kid: str) -> None:
    ticket = Ticket(SALE, ID, number, store_id)
    assert read(issue(ticket, kid, KEYS), SALE, KEYS) == ticket


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_any_changed_character_makes_it_worthless(place: int, other: str) -> None:
    if TOKEN[place] != other:
        with pytest.raises(InvalidToken):
            read(TOKEN[:place] + other + TOKEN[place + 1 :], SALE, KEYS)


@given(st.text(max_size=600) | st.text("v1.k-_A", max_size=80))
def test_any_other_text_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(InvalidToken):
        read(text, SALE, KEYS)


@pytest.mark.parametrize(
    "spoiled", [TOKEN + "=", TOKEN + ".", " " + TOKEN, TOKEN + "\n", TOKEN[:-1], "v2" + TOKEN[2:]]
)
def test_there_is_one_spelling_of_a_ticket_only(spoiled: str) -> None:
    with pytest.raises(InvalidToken):
        read(spoiled, SALE, KEYS)


def test_a_ticket_of_another_sale_or_another_key_does_not_validate() -> None:
    with pytest.raises(InvalidToken):
        read(TOKEN, "sale0000002", KEYS)
    with pytest.raises(InvalidToken):
        read(TOKEN, SALE, TicketKeys({"k1": b"x" * 32}))
    with pytest.raises(InvalidToken):
        read(TOKEN, SALE, TicketKeys({"k2": b"1" * 32}))


@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=2, unique=True))
def test_any_two_accounts_or_sales_have_different_ticket_ids(pairs: list[tuple[str, str]]) -> None:
    one, other = (ticket_id(b"i" * 32, *pair) for pair in pairs)
    assert one != other
    assert len(one) == len(other) == 14


def test_the_ticket_id_is_the_same_on_every_device_and_another_for_another_key() -> None:
    assert ticket_id(b"i" * 32, SALE, "ann") == ID
    assert ticket_id(b"j" * 32, SALE, "ann") != ID
    assert "ann" not in ID


def test_what_was_checked_is_remembered_for_its_own_sale_only_and_not_for_ever() -> None:
    now_s, keys = 0.0, dict(KEYS.by_id)
    reader = TicketReader(TicketKeys(keys), most=2, for_s=60, clock=lambda: now_s)
    assert reader.read(TOKEN, SALE) == TICKET
    del keys["k1"]
    assert reader.read(TOKEN, SALE) == TICKET, "not checked again"
    with pytest.raises(InvalidToken):
        reader.read(TOKEN, "sale0000002")
    with pytest.raises(InvalidToken):
        reader.read(TOKEN[:-1] + "x", SALE)
    now_s = 61.0
    assert reader.read(issue(TICKET, "k2", KEYS), SALE) == TICKET
    with pytest.raises(InvalidToken):
        reader.read(TOKEN, SALE)


def test_no_more_tickets_are_remembered_than_was_said() -> None:
    reader = TicketReader(KEYS, most=10)
    for number in range(1, 100):
        ticket = Ticket(SALE, ID, number, "store1")
        assert reader.read(issue(ticket, "k1", KEYS), SALE) == ticket
    assert len(reader._known) == 10

"""The draw: fixed before, secret until after, the same for everybody who recomputes it."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from waiting_room.draw import SCALE, DrawList, commitment, hash_of_list, lot, score
from waiting_room.ticket import ticket_id

SALE = "0123456789abcdef"
SEED = bytes(range(32))
KEY = b"k" * 32

seeds = st.binary(min_size=32, max_size=32)
ids = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=14, max_size=14)


def drawn(seed: bytes, tickets: list[str]) -> DrawList:
    ordered = sorted(tickets, key=lambda ticket: (score(seed, ticket), ticket.encode()))
    return DrawList(seed, "".join(f"{ticket}\n" for ticket in ordered).encode())


def test_commitment_and_scores_are_what_they_were_on_the_first_day() -> None:
    """Whoever kept a receipt must be able to check it for ever: these values never change."""
    assert commitment(SALE, SEED) == "7aaff7d14823a31444890b0a3983042cf446129b113ec4e580a2b211cb2565e5"
    assert [score(SEED, ticket) for ticket in ("AAAAAAAAAAAAAA", "B-_09azAZ00000", "zzzzzzzzzzzzzz")] == [
        4181329655500055,
        1804615073300935,
        2400702982010733,
    ]
    assert lot(SEED, "AAAAAAAAAAAAAA") == "-0.07155830858317302"


@given(seeds, ids)
def test_a_score_is_52_bits_of_the_keyed_hash_and_a_double_holds_it_exactly(seed: bytes, ticket: str) -> None:
    first = hmac.new(seed, ticket.encode(), hashlib.sha256).hexdigest()[:13]
    assert score(seed, ticket) == int(first, 16)
    place = float(lot(seed, ticket))
    assert -1 <= place < 0
    assert (place + 1) * SCALE == score(seed, ticket)


@given(seeds, seeds)
def test_a_commitment_fixes_one_seed_of_one_sale(one: bytes, other: bytes) -> None:
    assert (commitment(SALE, one) == commitment(SALE, other)) == (one == other)
    assert commitment(SALE, one) != commitment("another", one)
    assert one.hex() not in commitment(SALE, one)


@given(seeds, st.lists(ids, min_size=1, max_size=40, unique=True), st.lists(ids, max_size=10, unique=True))
def test_a_place_is_the_number_on_the_list_or_lies_where_the_score_belongs(
    seed: bytes, tickets: list[str], strangers: list[str]
) -> None:
    listed = drawn(seed, tickets)
    places = {ticket: listed.place(ticket) for ticket in {*tickets, *strangers}}
    assert all(float(f"{place:.14g}") == place for place in places.values()), "as the store writes it down"
    assert sorted(places[ticket] for ticket in tickets) == list(range(1, len(tickets) + 1))
    for stranger in set(strangers) - set(tickets):
        before = sum(score(seed, ticket) < score(seed, stranger) for ticket in tickets)
        assert before < places[stranger] < before + 1
    together = sorted(places, key=lambda ticket: (places[ticket], ticket))
    assert [score(seed, ticket) for ticket in together] == sorted(score(seed, ticket) for ticket in places)


def test_places_in_a_list_of_nobody_lie_before_number_one() -> None:
    nobody = DrawList(SEED, b"")
    assert all(0 < nobody.place(ticket_id(KEY, SALE, f"a{n}")) < 1 for n in range(100))


def test_places_are_uniform_and_nothing_to_do_with_who_came_first() -> None:
    """Chi-square of 20,000 scores in 64 cells (63 degrees of freedom; 1 in 100,000 lies outside 24 … 123), and their
    rank correlation with the order of arrival (standard deviation 0.007)."""
    crowd = [ticket_id(KEY, SALE, f"account{n}") for n in range(20_000)]
    scores = [score(SEED, ticket) for ticket in crowd]
    cells = [0] * 64
    for value in scores:
        cells[value >> 46] += 1
    expected = len(crowd) / 64
    assert 24 < sum((count - expected) ** 2 / expected for count in cells) < 123
    rank = {value: n for n, value in enumerate(sorted(scores))}
    middle = (len(crowd) - 1) / 2
    covariance = sum((n - middle) * (rank[value] - middle) for n, value in enumerate(scores))
    variance = sum((n - middle) ** 2 for n in range(len(crowd)))
    assert abs(covariance / variance) < 0.035


def test_one_ticket_more_or_less_changes_no_others_order() -> None:
    crowd = [ticket_id(KEY, SALE, f"account{n}") for n in range(50)]
    places = {ticket: drawn(SEED, crowd).place(ticket) for ticket in crowd}
    fewer = drawn(SEED, crowd[1:])
    assert sorted(crowd[1:], key=fewer.place) == sorted(crowd[1:], key=places.__getitem__)


def test_the_hash_of_a_list_is_that_of_its_text() -> None:
    assert hash_of_list(b"") == hashlib.sha256().hexdigest()
    assert hash_of_list(b"AAAAAAAAAAAAAA\n") == hashlib.sha256(b"AAAAAAAAAAAAAA\n").hexdigest()

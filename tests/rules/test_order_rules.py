"""An order and a reservation move only along their tables, and receipts say what was accepted and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.errors import IllegalMove
from shop.orders.entry import EntryLine, OrderEntry
from shop.orders.naming import order_id_for
from shop.orders.receipt import (
    InvalidReceipt,
    ReceiptKeys,
    good_until_ms,
    read_receipt,
    receipt_of,
    sign_receipt,
)
from shop.orders.rules import (
    HOLDING_STATES,
    LIVE_STATES,
    ORDER_MOVES,
    OUTCOMES,
    SOLD_STATES,
    OrderState,
    move,
)
from shop.stock.rules import RESERVATION_MOVES, ReservationState, move_reservation

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEYS = ReceiptKeys("new", {"old": b"o" * 32, "new": b"n" * 32})
text = st.text(min_size=1, max_size=20)
entries = st.builds(
    OrderEntry,
    order_id=text,
    sale_id=text,
    account_id=text,
    pass_jti=text,
    pass_exp_ms=st.integers(0, 2**45),
    lines=st.lists(
        st.builds(
            EntryLine, product_id=text, quantity=st.integers(1, 1000), unit_price=st.integers(0, 10**12)
        ),
        max_size=5,
    ),
    address_id=st.none() | text,
    fingerprint=text,
    receipt_key=st.sampled_from(["old", "new"]),
    good_until_ms=st.integers(1, 2**45),
    accepted_no=st.integers(1, 2**53),
    accepted_at_ms=st.integers(0, 2**45),
)


@given(st.sampled_from(OrderState), st.sampled_from(OrderState))
def test_an_order_moves_along_its_table_or_the_error_names_both_states(
    current: OrderState, wanted: OrderState
) -> None:
    if wanted in ORDER_MOVES[current]:
        assert move(current, wanted) is wanted
    else:
        with pytest.raises(IllegalMove, match=f"{current} to {wanted}") as refused:
            move(current, wanted)
        assert (refused.value.current, refused.value.wanted) == (current, wanted)


@given(st.lists(st.sampled_from(OrderState), max_size=30))
def test_whatever_is_tried_a_rejected_or_refunded_order_stays_what_it_is(attempts: list[OrderState]) -> None:
    state = OrderState.QUEUED
    for wanted in attempts:
        if state in (OrderState.REJECTED, OrderState.REFUNDED):
            assert not ORDER_MOVES[state]
        elif wanted in ORDER_MOVES[state]:
            state = move(state, wanted)
    assert state in OrderState


def test_every_state_has_its_row_and_its_meaning_for_stock_and_room() -> None:
    assert set(ORDER_MOVES) == set(OrderState)
    assert HOLDING_STATES | SOLD_STATES == LIVE_STATES
    assert not HOLDING_STATES & SOLD_STATES
    # A slot in the room is taken by queued orders and by those that hold units, and by nobody else.
    assert set(OrderState) - set(OUTCOMES) == HOLDING_STATES | {OrderState.QUEUED}


@given(st.sampled_from(ReservationState), st.sampled_from(ReservationState))
def test_released_units_never_come_back_to_the_same_reservation(
    current: ReservationState, wanted: ReservationState
) -> None:
    assert not RESERVATION_MOVES[ReservationState.RELEASED]
    if wanted in RESERVATION_MOVES[current]:
        assert move_reservation(current, wanted) is wanted
    else:
        with pytest.raises(IllegalMove):
            move_reservation(current, wanted)


@given(entries)
def test_a_receipt_gives_back_the_entry_it_was_written_for(entry: OrderEntry) -> None:
    token = sign_receipt(KEYS, receipt_of(entry))
    assert token == sign_receipt(KEYS, receipt_of(entry))
    assert read_receipt(KEYS, token, datetime.fromtimestamp(0, UTC)).entry == entry


ENTRY = OrderEntry(
    order_id="o",
    sale_id="s",
    account_id="a",
    pass_jti="t.1",
    pass_exp_ms=1,
    lines=[EntryLine(product_id="p", quantity=2)],
    address_id=None,
    fingerprint="f",
    receipt_key="old",
    good_until_ms=good_until_ms(NOW),
    accepted_no=1,
    accepted_at_ms=1,
)
TOKEN = sign_receipt(KEYS, receipt_of(ENTRY))


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_receipt_with_any_other_character_is_no_receipt(place: int, letter: str) -> None:
    forged = TOKEN[:place] + letter + TOKEN[place + 1 :]
    if forged != TOKEN:
        with pytest.raises(InvalidReceipt):
            read_receipt(KEYS, forged, NOW)


@given(st.text(max_size=60))
def test_any_other_text_is_no_receipt(token: str) -> None:
    with pytest.raises(InvalidReceipt):
        read_receipt(KEYS, token, NOW)


def test_a_receipt_is_good_until_an_hour_after_the_sale_and_under_every_key_still_read() -> None:
    old = sign_receipt(KEYS, receipt_of(ENTRY))
    assert read_receipt(KEYS, old, NOW + timedelta(minutes=59)).order_id == "o"
    with pytest.raises(InvalidReceipt):
        read_receipt(KEYS, old, NOW + timedelta(hours=1))
    with pytest.raises(InvalidReceipt):
        read_receipt(ReceiptKeys("new", {"new": b"n" * 32}), old, NOW)


@given(text, text, text, text, text, text)
def test_two_requests_share_an_order_id_only_if_they_are_the_same(
    sale: str, account: str, key: str, sale2: str, account2: str, key2: str
) -> None:
    first, second = order_id_for(b"k", sale, account, key), order_id_for(b"k", sale2, account2, key2)
    assert len(first) == 22
    assert (first == second) == ((sale, account, key) == (sale2, account2, key2))

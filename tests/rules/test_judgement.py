"""Whatever orders come, a batch decides all or nothing, never sells more than there is and never more than one may have."""

from __future__ import annotations

from collections import Counter as Bag

from hypothesis import given
from hypothesis import strategies as st

from shop.orders.entry import EntryLine, OrderEntry
from shop.orders.judgement import Books, Item
from shop.orders.rules import OrderState, RejectReason

ITEMS = {
    "seat": Item(1, "seat", "Seat", 1000, 3),
    "gift": Item(2, "gift", "Gift", 0, 2),
}
lines = st.lists(
    st.builds(EntryLine, product_id=st.sampled_from(["seat", "gift", "other"]), quantity=st.integers(0, 4)),
    max_size=3,
)


def entry(buyer: int, jti: int, wanted: list[EntryLine], address: str | None = None) -> OrderEntry:
    return OrderEntry(
        order_id="o",
        sale_id="s",
        account_id=f"b{buyer}",
        pass_jti=f"t{jti}",
        pass_exp_ms=0,
        lines=wanted,
        address_id=address,
        fingerprint="f",
        accepted_no=1,
        accepted_at_ms=0,
    )


def books(seats: int = 10, gifts: int = 10, *, on_sale: bool = True) -> Books:
    return Books(
        on_sale=on_sale,
        items=ITEMS,
        free={1: seats, 2: gifts},
        bought={},
        used_passes=set(),
        accounts=frozenset({"b0", "b1", "b2"}),
        addresses={"home": "b0"},
    )


one_seat = [EntryLine(product_id="seat", quantity=1)]


@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8), lines), max_size=25),
)
def test_no_list_of_orders_takes_more_than_there_is_or_more_than_one_may_have(
    seats: int, gifts: int, wishes: list[tuple[int, int, list[EntryLine]]]
) -> None:
    held, bought, passes = Bag[str](), Bag[tuple[str, str]](), Bag[str]()
    kept = books(seats, gifts)
    for buyer, jti, wanted in wishes:
        order = entry(buyer, jti, wanted)
        judgement = kept.judge(order)
        kept.take(order, judgement)
        if judgement.rejected:
            assert judgement.reason is not None
            continue
        assert judgement.state is (OrderState.RESERVED if judgement.total else OrderState.PAID)
        assert sum(line.quantity for line in judgement.lines) == sum(line.quantity for line in wanted)
        passes[order.pass_jti] += 1
        for line in judgement.lines:
            held[line.item.product_id] += line.quantity
            bought[order.account_id, line.item.product_id] += line.quantity
    assert held["seat"] <= seats
    assert held["gift"] <= gifts
    assert all(units <= ITEMS[product].limit_per_buyer for (_, product), units in bought.items())
    assert all(times == 1 for times in passes.values())


def test_each_objection_has_its_word() -> None:
    def reason(order: OrderEntry, kept: Books | None = None) -> RejectReason | None:
        return (kept or books()).judge(order).reason

    assert reason(entry(0, 1, one_seat)) is None
    assert reason(entry(9, 1, one_seat)) is RejectReason.ACCOUNT_CLOSED
    assert reason(entry(0, 1, one_seat, "home")) is None
    assert reason(entry(1, 1, one_seat, "home")) is RejectReason.BAD_ADDRESS
    assert reason(entry(0, 1, one_seat, "nowhere")) is RejectReason.BAD_ADDRESS
    assert reason(entry(0, 1, one_seat), books(on_sale=False)) is RejectReason.NOT_ON_SALE
    assert reason(entry(0, 1, [EntryLine(product_id="other", quantity=1)])) is RejectReason.NOT_ON_SALE
    assert reason(entry(0, 1, [EntryLine(product_id="seat", quantity=4)])) is RejectReason.OVER_LIMIT
    assert reason(entry(0, 1, one_seat * 4)) is RejectReason.OVER_LIMIT
    assert reason(entry(0, 1, one_seat), books(seats=0)) is RejectReason.SOLD_OUT


def test_one_product_short_rejects_the_whole_order_and_takes_nothing() -> None:
    kept = books(seats=5, gifts=0)
    order = entry(0, 1, [*one_seat, EntryLine(product_id="gift", quantity=1)])
    judgement = kept.judge(order)
    kept.take(order, judgement)
    assert judgement.reason is RejectReason.SOLD_OUT
    assert kept.free == {1: 5, 2: 0}


def test_the_second_order_with_the_same_pass_is_rejected_and_a_rejected_one_gives_it_back() -> None:
    kept = books(seats=1)
    too_many = entry(0, 1, [EntryLine(product_id="seat", quantity=2)])
    kept.take(too_many, kept.judge(too_many))
    for order, reason in ((entry(0, 1, one_seat), None), (entry(0, 1, one_seat), RejectReason.PASS_USED)):
        judgement = kept.judge(order)
        kept.take(order, judgement)
        assert judgement.reason is reason

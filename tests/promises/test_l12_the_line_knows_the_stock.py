"""L12: the line knows the stock. The whole product, running; no operator does anything after the sale was made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.running import Buyer, RunningDemo, eventually


def told(buyer: Buyer, sale: str, **wanted: str) -> dict[str, Any]:
    """The buyer's place once it says all this."""

    def says() -> dict[str, Any] | None:
        answer = buyer.client.get(f"/api/v1/sales/{sale}/ticket")
        place: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return place if all(place.get(name) == value for name, value in wanted.items()) else None

    return eventually(says, f"the place says {wanted}", 30)


def line_is(demo: RunningDemo, sale: str, phase: str) -> None:
    with demo.operator() as anybody:
        url = f"/api/v1/sales/{sale}/line"
        eventually(lambda: anybody.get(url).json().get("phase") == phase or None, f"the line is {phase}", 30)


def take_the_only_unit(buyer: Buyer, sale: str, product: str) -> str:
    buyer.join(sale)
    buyer.await_call(sale, 30)
    order_id = str(buyer.order(sale, buyer.claim(sale), {product: 1})["order_id"])
    buyer.await_order(order_id, "reserved", timeout_s=30)
    return order_id


@pytest.mark.parametrize("ends_by", ["expiry", "cancelling"])
def test_a_unit_that_comes_back_goes_to_the_next_in_line_by_itself_and_the_last_one_is_told_when_all_is_gone(
    demo: RunningDemo, ends_by: str
) -> None:
    hold_s = 6 if ends_by == "expiry" else 600
    sale, product = demo.open_sale(1, hold_s=hold_s)
    first, second, third = (demo.buyer(number) for number in (31, 32, 33))
    order_id = take_the_only_unit(first, sale, product)
    second.join(sale)
    third.join(sale)
    line_is(demo, sale, "all_held")
    waits = told(second, sale, state="all_held")
    assert waits["stock_outlook"] in ("uncertain", "unlikely"), "units that are held may still return"
    assert waits["estimate"]["reason"]["code"] == "stock_held"
    if ends_by == "cancelling":
        assert first.client.post(f"/api/v1/orders/{order_id}/cancel").status_code == 200
    first.await_order(order_id, "expired" if ends_by == "expiry" else "cancelled", timeout_s=30)

    told(second, sale, state="called")
    assert third.ticket(sale)["state"] in ("waiting", "all_held"), "one unit came back, one buyer is called"
    bought = str(second.order(sale, second.claim(sale), {product: 1})["order_id"])
    second.await_order(bought, "reserved", timeout_s=30)
    second.pay(bought)
    second.await_order(bought, "paid", timeout_s=30)
    told(third, sale, state="sold_out", stock_outlook="gone")
    answer = first.client.put(f"/api/v1/sales/{sale}/ticket")
    assert (answer.status_code, answer.json()["code"]) == (409, "sold_out")


def test_units_of_an_order_that_was_paid_and_given_back_open_a_sold_out_line_again_in_its_order(
    demo: RunningDemo,
) -> None:
    sale, product = demo.open_sale(1)
    first, second, third = (demo.buyer(number) for number in (38, 39, 40))
    order_id = take_the_only_unit(first, sale, product)
    second.join(sale)
    third.join(sale)
    first.pay(order_id)
    first.await_order(order_id, "paid", timeout_s=30)
    for waits in (second, third):
        told(waits, sale, state="sold_out", stock_outlook="gone")
    with demo.operator() as operator:
        url = f"/api/v1/operator/orders/{order_id}/actions/refund"
        answer = operator.post(url, json={"reason": "the buyer is ill"})
        assert answer.status_code in (200, 202), answer.text
    first.await_order(order_id, "refunded", timeout_s=30)

    told(second, sale, state="called")
    assert third.ticket(sale)["state"] in ("waiting", "all_held"), "one unit came back, one buyer is called"
    again = str(second.order(sale, second.claim(sale), {product: 1})["order_id"])
    second.await_order(again, "reserved", timeout_s=30)
    assert second.client.post(f"/api/v1/orders/{again}/cancel").status_code == 200
    told(third, sale, state="called")


def test_people_are_told_while_they_wait_whether_the_stock_can_reach_them(demo: RunningDemo) -> None:
    sale, _ = demo.open_sale(3, capacity=1)
    buyers = [demo.buyer(number) for number in (34, 35, 36, 37)]
    for buyer in buyers:
        buyer.join(sale)
    told(buyers[0], sale, state="called")
    for buyer, outlook in zip(buyers[1:], ("likely", "uncertain", "unlikely"), strict=True):
        told(buyer, sale, state="waiting", stock_outlook=outlook)

"""A program buys: the line, the pass, the order, by the public API."""

from __future__ import annotations

from tests.api.conftest import House, problem


async def test_a_buyer_joins_is_called_claims_and_orders(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    joined = await buyer.ask("PUT", f"/sales/{sale}/ticket")
    assert joined.status_code == 201
    assert joined.json()["state"] == "waiting"
    assert joined.json()["number"] == 1
    assert (await buyer.ask("PUT", f"/sales/{sale}/ticket")).status_code == 200

    await house.tick(sale)
    called = (await buyer.ask("GET", f"/sales/{sale}/ticket")).json()
    assert called["state"] == "called"
    assert called["turn_expires_at"]

    claimed = await buyer.ask("POST", f"/sales/{sale}/pass")
    assert claimed.status_code == 200
    assert (await buyer.ask("POST", f"/sales/{sale}/pass")).content == claimed.content

    accepted = await house.order(buyer, sale, pass_=claimed.json()["pass"])
    assert accepted.status_code == 202, accepted.text
    order_id = accepted.json()["order_id"]
    assert (await buyer.ask("GET", f"/orders/{order_id}")).json()["state"] == "queued"

    await house.decide(sale)
    decided = (await buyer.ask("GET", f"/orders/{order_id}")).json()
    assert decided["state"] == "reserved"
    assert decided["seq"] == 1


async def test_an_order_that_costs_nothing_is_paid_by_its_decision_and_takes_no_payment(house: House) -> None:
    free = [{"product_id": house.products[0], "allotted": 10, "limit_per_buyer": 2, "price": 0}]
    sale, buyer = await house.sale(items=free), await house.buyer()
    order_id = await house.reserved(buyer, sale)
    order = (await buyer.ask("GET", f"/orders/{order_id}")).json()
    assert (order["state"], order["total"]) == ("paid", 0)
    started = await buyer.ask("POST", f"/orders/{order_id}/payment", headers={"Idempotency-Key": "k" * 8})
    body = problem(started, 409, "illegal_move")
    assert (body["current"], body["wanted"]) == ("paid", "paying")

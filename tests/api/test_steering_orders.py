"""Operators act on one order by the API, and buyers send goods back."""

from __future__ import annotations

from shop.orders.changes import lock_order, pay_order
from shop.storage.database import Tx
from tests.api.conftest import House, problem

REASON = {"reason": "the buyer called"}


async def test_goods_go_out_and_come_back_by_the_api(house: House) -> None:
    slug, buyer, operator = await house.sale(), await house.buyer(), await house.operator()
    order_id = await house.reserved(buyer, slug)
    path = f"/operator/orders/{order_id}/actions"

    refused = problem(await operator.ask("POST", f"{path}/ship", json=REASON), 409, "illegal_move")
    assert (refused["current"], refused["wanted"]) == ("reserved", "shipped")
    problem(await operator.ask("POST", f"{path}/refund", json=REASON), 409, "illegal_move")
    problem(await operator.ask("POST", f"{path}/accept-payment", json=REASON), 409, "illegal_move")
    problem(await operator.ask("POST", f"{path}/burn", json=REASON), 404, "unknown_action")
    problem(await operator.ask("POST", f"{path}/ship", json={}), 422, "bad_fields")
    problem(await operator.ask("POST", f"{path}/ship", json={**REASON, "amount": 5}), 422, "bad_fields")
    problem(await operator.ask("POST", f"{path}/refund", json={**REASON, "amount": -1}), 422, "bad_fields")
    missing = "/operator/orders/nobody/actions/refund"
    problem(await operator.ask("POST", missing, json=REASON), 404, "unknown_order")
    viewer = await house.operator("viewer")
    problem(await viewer.ask("POST", f"{path}/fulfil", json=REASON), 403, "forbidden")
    problem(await buyer.ask("POST", f"{path}/fulfil", json=REASON), 403, "forbidden")
    problem(await buyer.ask("POST", f"/orders/{order_id}/return"), 409, "illegal_move")

    def pay(tx: Tx) -> None:
        order = lock_order(tx, order_id)
        assert order is not None
        pay_order(tx, order, actor="test")

    house.runtime.db.run(pay)
    for action, state in (("fulfil", "fulfilling"), ("ship", "shipped"), ("deliver", "delivered")):
        answer = await operator.ask("POST", f"{path}/{action}", json=REASON)
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    asked = await buyer.ask("POST", f"/orders/{order_id}/return")
    assert (asked.status_code, asked.json()["state"]) == (200, "return_requested")
    stranger = await house.buyer()
    problem(await stranger.ask("POST", f"/orders/{order_id}/return"), 404, "unknown_order")
    accepted = await operator.ask("POST", f"{path}/accept-return", json=REASON)
    assert accepted.json()["state"] == "returned"
    listed = (await operator.ask("GET", "/operator/audit")).json()["items"]
    steps = [one["action"] for one in listed if one["subject"] == order_id]
    assert steps == ["accept-return", "deliver", "ship", "fulfil"]

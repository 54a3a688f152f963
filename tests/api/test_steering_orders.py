"""Operators act on one order by the API, and buyers send goods back."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Row

from gateway.announcing import announce_ended
from shop.orders.changes import lock_order, pay_order
from shop.payments.apply import refund_order
from shop.storage.database import Tx
from shop.storage.tables import payments
from tests.api.conftest import House, Person, problem

REASON = {"reason": "the buyer called"}


def tx_order(tx: Tx, order_id: str) -> Row[Any]:
    order = lock_order(tx, order_id)
    assert order is not None
    return order


def put_payment(tx: Tx, order_id: str) -> None:
    """What the order was paid with."""
    order = tx_order(tx, order_id)
    row = {
        "payment_id": f"pay-{order_id}"[:32],
        "order_id": order_id,
        "account_id": order.account_id,
        "provider": "simulator",
        "state": "succeeded",
        "amount": order.total,
        "captured": order.total,
        "refunded": 0,
        "currency": order.currency,
        "idempotency_key": order_id,
        "request_hash": "",
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    tx.insert(payments, [row])


async def test_goods_go_out_and_come_back_by_the_api(house: House) -> None:
    slug, buyer, operator = await house.sale(), await house.buyer(), await house.operator()
    order_id = await house.reserved(buyer, slug)
    path = f"/operator/orders/{order_id}/actions"

    refused = problem(await operator.ask("POST", f"{path}/ship", json=REASON), 409, "illegal_move")
    assert (refused["current"], refused["wanted"]) == ("reserved", "shipped")
    problem(await operator.ask("POST", f"{path}/refund", json=REASON), 409, "illegal_move")
    problem(await operator.ask("POST", f"{path}/accept-payment", json=REASON), 409, "illegal_move")
    problem(await operator.ask("POST", f"{path}/burn", json=REASON), 404, "unknown_action")
    problem(await operator.ask("POST", f"{path}/refund", json={}), 422, "bad_fields")
    problem(await operator.ask("POST", f"{path}/retry", json={}), 409, "not_stuck")
    problem(await operator.ask("POST", f"{path}/ship", json={**REASON, "amount": 5}), 422, "bad_fields")
    problem(await operator.ask("POST", f"{path}/refund", json={**REASON, "amount": -1}), 422, "bad_fields")
    missing = "/operator/orders/nobody/actions/refund"
    problem(await operator.ask("POST", missing, json=REASON), 404, "unknown_order")
    viewer = await house.operator("viewer")
    problem(await viewer.ask("POST", f"{path}/fulfil", json=REASON), 403, "forbidden")
    problem(await buyer.ask("POST", f"{path}/fulfil", json=REASON), 403, "forbidden")
    problem(await buyer.ask("POST", f"/orders/{order_id}/return"), 409, "illegal_move")

    house.runtime.db.run(lambda tx: pay_order(tx, tx_order(tx, order_id), actor="test"))
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


async def acts(operator: Person, order_id: str) -> list[str]:
    """What the history says was done to the order, the first first."""
    rows = (await operator.ask("GET", "/operator/audit")).json()["items"]
    return [one["action"] for one in reversed(rows) if one["subject"] == order_id]


async def test_an_operator_cancels_an_order_and_its_unit_is_free(house: House) -> None:
    slug, buyer, operator = await house.sale(), await house.buyer(), await house.operator()
    order_id = await house.reserved(buyer, slug)
    told = (await operator.ask("GET", f"/operator/orders/{order_id}")).json()
    assert told["actions"] == ["resend-mail", "cancel"]
    path = f"/operator/orders/{order_id}/actions"
    problem(await operator.ask("POST", f"{path}/cancel", json={}), 422, "bad_fields")
    for _ in range(2):
        answer = await operator.ask("POST", f"{path}/cancel", json=REASON)
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert (await operator.ask("POST", f"{path}/resend-mail", json={})).status_code == 200
    assert await acts(operator, order_id) == ["open-person", "cancel-order", "resend-mail"]
    sale = (await operator.ask("GET", f"/operator/sales/{slug}")).json()
    assert [(item["held"], item["sold"]) for item in sale["items"]] == [(0, 0)]
    assert (await buyer.ask("GET", f"/orders/{order_id}")).json()["state"] == "cancelled"


async def test_an_operator_finds_and_cancels_an_order_that_nobody_decides(house: House) -> None:
    """The workers are down: the order is found, told and cancelled where it stands, and the lane goes on behind it."""
    slug, operator, viewer = await house.sale(), await house.operator(), await house.operator("viewer")
    first, second = await house.buyer(), await house.buyer()
    order_id, next_id = [(await house.order(one, slug)).json()["order_id"] for one in (first, second)]
    path = f"/operator/orders/{order_id}"

    async def listed(query: str) -> list[tuple[str, str]]:
        items = (await viewer.ask("GET", f"/operator/orders?{query}")).json()["items"]
        return [(one["order_id"], one["state"]) for one in items]

    waiting = [(next_id, "queued"), (order_id, "queued")]
    assert await listed(f"sale={slug}&state=queued") == waiting
    assert (
        await listed(f"order_id={order_id}") == await listed(f"account_id={first.account_id}") == waiting[1:]
    )
    assert (
        await listed(f"sale={slug}&state=queued&payment_id=x")
        == await listed("state=queued&order_id=x")
        == []
    )
    told = (await operator.ask("GET", path)).json()
    assert (told["order"]["state"], told["order"]["total"] > 0, told["actions"]) == (
        "queued",
        True,
        ["cancel"],
    )
    assert [(one["kind"], one["what"]) for one in told["moments"]] == [("order", "accepted")]
    assert (told["person"]["email"], told["person"]["name"]) == (first.email, "Kim Minji")
    assert first.email not in (await viewer.ask("GET", path)).text

    problem(await operator.ask("POST", f"{path}/actions/fulfil", json=REASON), 409, "undecided")
    problem(await operator.ask("POST", f"{path}/actions/cancel", json={}), 422, "bad_fields")
    assert await listed(f"order_id={order_id}") == waiting[1:]
    for _ in range(2):
        answer = await operator.ask("POST", f"{path}/actions/cancel", json=REASON)
        assert (answer.status_code, answer.json()["state"], answer.json()["seq"]) == (200, "cancelled", None)
    assert await acts(operator, order_id) == ["open-person", "cancel-order"]
    await house.decide(slug)
    assert await listed(f"sale={slug}&state=queued") == []
    orders = [
        (await one.ask("GET", f"/orders/{of}")).json() for one, of in ((first, order_id), (second, next_id))
    ]
    assert [(one["state"], one["seq"], one["total"]) for one in orders] == [
        ("cancelled", None, told["order"]["total"]),
        ("reserved", 1, told["order"]["total"]),
    ]
    told = (await operator.ask("GET", path)).json()
    letters = [one["detail"] for one in told["moments"] if one["kind"] == "effect"]
    assert [(one["effect"], one["name"]) for one in letters] == [("mail", "cancelled")]


async def test_a_purchase_uses_the_place_for_good_and_an_order_without_one_does_not(house: House) -> None:
    slug, refunded, cancelled = await house.sale(), await house.buyer(), await house.buyer()
    bought, given_up = await house.reserved(refunded, slug), await house.reserved(cancelled, slug)
    path, db = f"/sales/{slug}/ticket", house.runtime.db
    paid = db.run(lambda tx: pay_order(tx, tx_order(tx, bought), actor="test"))
    announce_ended(house.services, [paid], ())
    await house.tick(slug)
    db.run(lambda tx: refund_order(tx, house.services.vault, tx_order(tx, bought), actor="test"))
    assert (await cancelled.ask("POST", f"/orders/{given_up}/cancel")).status_code == 200
    await house.tick(slug)

    first = (await refunded.ask("GET", path)).json()
    again = await refunded.ask("PUT", path)
    assert (again.status_code, again.json()["number"]) == (200, first["number"])
    assert (again.json()["state"], again.json()["outcome"]) == ("done", "paid")
    headers = {"Authorization": f"Bearer {refunded.token}"}
    page = (await house.client.get(f"/orders/{bought}", headers=headers)).text
    assert ("you cannot join that line again" in page, f'action="/sales/{slug}/join"' in page) == (
        True,
        False,
    )

    before = (await cancelled.ask("GET", path)).json()
    assert (before["state"], before["outcome"]) == ("done", "ended")
    headers = {"Authorization": f"Bearer {cancelled.token}"}
    for page in (f"/orders/{given_up}", f"/sales/{slug}/line"):
        assert f'action="/sales/{slug}/join"' in (await house.client.get(page, headers=headers)).text
    after = await cancelled.ask("PUT", path)
    assert (after.status_code, "outcome" in after.json()) == (201, False)
    assert after.json()["number"] > before["number"]


async def test_the_pages_of_an_order_offer_what_may_be_done_and_ask_once_more(house: House) -> None:
    slug, buyer = await house.sale(), await house.buyer()
    operator, viewer = await house.operator(), await house.operator("viewer")
    order_id = await house.reserved(buyer, slug)
    here = f"/operator/orders/{order_id}"

    async def look(person: Person, path: str, status: int = 200, language: str = "en") -> str:
        headers = {"Authorization": f"Bearer {person.token}", "Accept-Language": language}
        answer = await house.client.get(path, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(person: Person, action: str, **form: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {person.token}"}
        answer = await house.client.post(f"{here}/do/{action}", headers=headers, data=form)
        return answer.status_code, answer.headers.get("location", answer.text)

    def offered(text: str) -> list[str]:
        return re.findall(rf'href="{here}/do/([a-z-]+)"', text)

    assert offered(await look(viewer, here)) == []
    await look(viewer, f"{here}/do/cancel", 403)
    assert (await send(viewer, "cancel", reason="no"))[0] == 403
    assert offered(await look(operator, here)) == ["resend-mail", "cancel"]
    await look(operator, f"{here}/do/burn", 404)
    await look(operator, f"{here}/do/ship", 303)  # not to be done now: back to the order

    house.runtime.db.run(lambda tx: pay_order(tx, tx_order(tx, order_id), actor="test"))
    house.runtime.db.run(lambda tx: put_payment(tx, order_id))
    actions = offered(await look(operator, here))
    assert actions == ["fulfil", "refund", "resend-mail"]
    for action in actions:
        for language in ("en", "ko"):
            assert f'action="{here}/do/{action}"' in await look(
                operator, f"{here}/do/{action}", 200, language
            )

    status, text = await send(operator, "refund", how_much="part", amount="a lot", currency="KRW", was="0")
    assert (status, 'aria-invalid="true"' in text) == (422, True)
    status, text = await send(
        operator, "refund", how_much="part", amount="99,999,999", currency="KRW", was="0", reason="x"
    )
    assert (status, 'value="99,999,999"' in text) == (422, True)
    part = {"how_much": "part", "amount": "1,000", "currency": "KRW", "was": "0", "reason": "a scratch"}
    assert await send(operator, "refund", **part) == (303, f"{here}?done=refund")
    status, text = await send(operator, "refund", **part)  # a doubled click
    assert (status, 'id="problem"' in text) == (409, True)
    assert await send(operator, "fulfil") == (303, f"{here}?done=fulfil")
    assert "The order is in preparation." in await look(operator, f"{here}?done=fulfil")
    assert await acts(operator, order_id) == ["refund", "fulfil"]

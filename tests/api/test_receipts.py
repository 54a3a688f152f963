"""Receipts through the gateway: an order that Redis has lost comes back by what its buyer holds, and by nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from gateway.cookies import cookie_name, session_cookie
from shop.orders.receipt import ReceiptKeys, read_receipt, sign_receipt
from tests.api.conftest import House, Person, problem
from tests.api.test_a_lost_store import lose_redis

HEADER = "Order-Receipt"


async def accepted(house: House, person: Person, sale: str) -> dict[str, Any]:
    answer = await house.order(person, sale, key="one")
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def look(person: Person, order_id: str, receipt: str | None = None) -> httpx.Response:
    return await person.ask("GET", f"/orders/{order_id}", headers={HEADER: receipt} if receipt else {})


async def test_orders_that_were_lost_undecided_come_back_by_their_receipts_in_their_order(
    house: House,
) -> None:
    sale = await house.sale(items=[{"product_id": house.products[0], "allotted": 2, "limit_per_buyer": 2}])
    people = [await house.buyer() for _ in range(3)]
    first, second, third = [await accepted(house, person, sale) for person in people]
    await lose_redis(house, sale)
    problem(await look(people[0], first["order_id"]), 404, "unknown_order")

    for person, order in zip(people[::-1], (third, second, first), strict=True):
        for _ in range(2):
            back = await look(person, order["order_id"], order["receipt"])
            assert (back.status_code, back.json()["state"]) == (200, "queued"), back.text
            assert back.json()["total"] == 12_000
    assert (await house.tick(sale, calls=0)).ordering == 3, "with their slots"
    await house.lane_opens(sale)
    await house.decide(sale)

    bodies = [
        (await look(person, order["order_id"], order["receipt"])).json()
        for person, order in zip(people, (first, second, third), strict=True)
    ]
    assert [(body["seq"], body["state"]) for body in bodies] == [
        (1, "reserved"),
        (2, "reserved"),
        (3, "rejected"),
    ]


async def test_a_receipt_that_is_forged_foreign_or_too_old_brings_nothing_back(house: House) -> None:
    sale, buyer, other = await house.sale(), await house.buyer(), await house.buyer()
    order = await accepted(house, buyer, sale)
    keys = house.services.receipt_keys
    receipt = read_receipt(keys, order["receipt"], datetime.now(UTC))
    foreign_key = ReceiptKeys(keys.active, {keys.active: b"f" * 32})
    old = msgspec.structs.replace(receipt, good_until_ms=1)
    await lose_redis(house, sale)

    order_id = order["order_id"]
    for person, at, token in (
        (buyer, order_id, sign_receipt(foreign_key, receipt)),
        (buyer, order_id, sign_receipt(keys, old)),
        (buyer, order_id, "r1.nonsense"),
        (buyer, "another", order["receipt"]),
        (other, order_id, order["receipt"]),
    ):
        problem(await look(person, at, token), 401, "invalid_token")
    await house.lane_opens(sale)
    assert await house.services.redis.llen(f"fc:{{{house.sale_id(sale)}}}:lane") == 0


@pytest.mark.parametrize("where", ["/orders", "/api/v1/orders"], ids=["page", "its polls"])
async def test_a_browser_shows_its_receipt_by_itself(house: House, where: str) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    order = await accepted(house, buyer, sale)
    await lose_redis(house, sale)
    settings = house.services.settings
    principal = house.services.sessions.read(buyer.token, "bearer")
    assert principal
    session = house.services.sessions.issue(principal, 1000)
    kept = cookie_name(settings, f"receipt_{house.sale_id(sale)}")
    jar = f"{session_cookie(settings, 'buyer')}={session}; {kept}={order['receipt']}"
    page = await house.client.get(f"{where}/{order['order_id']}", headers={"Cookie": jar})
    assert page.status_code == 200
    assert '"queued"' in page.text
    assert await house.services.lanes.peek(house.sale_id(sale), order["order_id"])


@pytest.mark.parametrize("lost", [False, True])
async def test_the_same_request_gets_the_same_bytes_whatever_has_changed_since(
    house: House, lost: bool
) -> None:
    sale, buyer, operator = await house.sale(), await house.buyer(), await house.operator()
    admission = await house.admitted(buyer, sale)
    first = await house.order(buyer, sale, pass_=admission, key="one")
    assert first.status_code == 202
    if lost:
        await lose_redis(house, sale)
        await look(buyer, first.json()["order_id"], first.json()["receipt"])
        await house.lane_opens(sale)

    keys = house.services.receipt_keys
    house.services.receipt_keys = ReceiptKeys("new", {**keys.by_id, "new": b"n" * 32})
    settled = await operator.ask("GET", f"/operator/sales/{sale}")
    later = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    changed = await operator.ask(
        "PATCH",
        f"/operator/sales/{sale}",
        headers={"If-Match": settled.headers["etag"]},
        json={"closes_at": later},
    )
    assert changed.status_code == 200, changed.text
    await house.services.snapshot.renew()

    again = await house.order(buyer, sale, pass_=admission, key="one")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert again.content == first.content
    problem(
        await house.order(buyer, sale, quantity=2, pass_=admission, key="one"), 422, "idempotency_key_reused"
    )

"""Every refusal of ordering, paying and cancelling is a problem with its code, and uses nothing up."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

from shop.payments.providers import MAX_CALLBACK_BYTES
from tests.api.conftest import PRICE, House, Person, problem


def key() -> str:
    return secrets.token_urlsafe(12)


async def lane_length(house: House, sale: str) -> int:
    return await asyncio.to_thread(house.services.lane_reader.length, house.sale_id(sale))


async def order(house: House, person: Person, sale: str, body: Any = None, **headers: str | None) -> Any:
    """An order of one first product, or of `body`, with just these headers."""
    names = {"pass_": "Admission-Pass", "key": "Idempotency-Key"}
    sent = {names[name]: value for name, value in headers.items() if value is not None}
    wanted = {"lines": [{"product_id": house.products[0], "quantity": 1}]} if body is None else body
    return await person.ask("POST", f"/sales/{sale}/orders", headers=sent, json=wanted)


async def test_an_order_needs_a_key_and_its_own_living_pass(house: House) -> None:
    sale, elsewhere, buyer, other = (
        await house.sale(),
        await house.sale(),
        await house.buyer(),
        await house.buyer(),
    )
    mine, theirs = await house.admitted(buyer, sale), await house.admitted(other, sale)
    foreign = await house.admitted(buyer, elsewhere)
    problem(await order(house, buyer, sale, pass_=mine), 400, "idempotency_key_missing")
    for bad in ("", " ", "x" * 256, 'a"b', "a b", "\t"):
        problem(await order(house, buyer, sale, pass_=mine, key=bad), 400, "idempotency_key_malformed")
    for wrong in (None, "", "nonsense", mine[:-4] + "AAAA", theirs, foreign):
        problem(await order(house, buyer, sale, pass_=wrong, key=key()), 403, "not_admitted")
    anonymous = await house.client.post(f"/api/v1/sales/{sale}/orders", json={"lines": []})
    problem(anonymous, 401, "not_signed_in")
    assert await lane_length(house, sale) == 0
    assert (await order(house, buyer, sale, pass_=mine, key=key())).status_code == 202


async def test_the_same_key_gives_the_same_bytes_and_no_second_order(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    mine, mark = await house.admitted(buyer, sale), key()
    first = await order(house, buyer, sale, pass_=mine, key=mark)
    again = await order(house, buyer, sale, pass_=mine, key=f'"{mark}"')
    assert first.status_code == again.status_code == 202
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await lane_length(house, sale) == 1
    body = {"lines": [{"product_id": house.products[0], "quantity": 2}]}
    problem(await order(house, buyer, sale, body, pass_=mine, key=mark), 422, "idempotency_key_reused")
    problem(await order(house, buyer, sale, pass_=mine, key=key()), 409, "pass_used")
    assert await lane_length(house, sale) == 1
    await house.decide(sale)
    assert (await order(house, buyer, sale, pass_=mine, key=mark)).content == first.content


async def test_the_same_request_gets_its_answer_again_after_the_pass_has_ended(house: House) -> None:
    sale, buyer, other = await house.sale(pass_s=1), await house.buyer(), await house.buyer()
    mine, mark = await house.admitted(buyer, sale), key()
    first = await order(house, buyer, sale, pass_=mine, key=mark)
    assert first.status_code == 202
    await asyncio.sleep(1.1)  # the pass is verified against the wall clock
    again = await order(house, buyer, sale, pass_=mine, key=mark)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    body = {"lines": [{"product_id": house.products[0], "quantity": 2}]}
    problem(await order(house, buyer, sale, body, pass_=mine, key=mark), 403, "not_admitted")
    problem(await order(house, buyer, sale, pass_=mine, key=key()), 403, "not_admitted")
    problem(await order(house, other, sale, pass_=mine, key=mark), 403, "not_admitted")
    assert await lane_length(house, sale) == 1


async def test_what_cannot_be_had_is_said_at_once_and_keeps_the_pass(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    mine = await house.admitted(buyer, sale)
    first, second = house.products
    over = {"lines": [{"product_id": first, "quantity": 3}]}
    problem(await order(house, buyer, sale, over, pass_=mine, key=key()), 409, "over_limit")
    elsewhere = {"lines": [{"product_id": second, "quantity": 1}]}
    problem(await order(house, buyer, sale, elsewhere, pass_=mine, key=key()), 409, "not_on_sale")
    await house.services.redis.hset(
        f"fc:{{{house.sale_id(sale)}}}:stock", mapping={"sold": "10", f"item:{first}": "10:0:10:2"}
    )
    problem(await order(house, buyer, sale, pass_=mine, key=key()), 409, "sold_out")
    assert await lane_length(house, sale) == 0


async def test_bad_order_lines_are_all_named(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    mine = await house.admitted(buyer, sale)
    lines = [{"product_id": 5, "quantity": 1}, {"product_id": "a", "quantity": 0, "x": 1}, {"quantity": "1"}]
    answer = await order(house, buyer, sale, {"lines": lines, "extra": 1}, pass_=mine, key=key())
    fields = {error["field"] for error in problem(answer, 422, "bad_fields")["errors"]}
    assert fields == {
        *(
            "extra",
            "lines.0.product_id",
            "lines.1.quantity",
            "lines.1.x",
            "lines.2.product_id",
            "lines.2.quantity",
        )
    }
    twice = [{"product_id": "a", "quantity": 1}, {"product_id": "a", "quantity": 1}]
    answer = await order(house, buyer, sale, {"lines": twice}, pass_=mine, key=key())
    assert [error["field"] for error in problem(answer, 422, "bad_fields")["errors"]] == [
        "lines.1.product_id"
    ]
    problem(await order(house, buyer, sale, {"lines": []}, pass_=mine, key=key()), 422, "bad_fields")
    assert await lane_length(house, sale) == 0


async def test_a_halted_or_cancelled_sale_and_a_busy_or_recovering_lane_accept_nothing(house: House) -> None:
    sale, buyer, operator = await house.sale(), await house.buyer(), await house.operator()
    mine = await house.admitted(buyer, sale)
    actions = f"/operator/sales/{sale}/actions"
    await operator.ask("POST", f"{actions}/halt")
    problem(await order(house, buyer, sale, pass_=mine, key=key()), 503, "halted")
    await operator.ask("POST", f"{actions}/resume")
    house.services.lanes._max_length = 0
    problem(await order(house, buyer, sale, pass_=mine, key=key()), 503, "lane_busy")
    house.services.lanes._max_length = 5000
    await house.services.redis.delete(f"fc:{{{house.sale_id(sale)}}}:lane:open")
    problem(await order(house, buyer, sale, pass_=mine, key=key()), 503, "lane_recovering")
    await house.lane_opens(sale)
    await operator.ask("POST", f"{actions}/cancel")
    problem(await order(house, buyer, sale, pass_=mine, key=key()), 409, "sale_closed")
    assert await lane_length(house, sale) == 0


async def test_an_order_is_its_buyers_own(house: House) -> None:
    sale, buyer, stranger, operator = (
        await house.sale(), await house.buyer(), await house.buyer(), await house.operator()
    )  # fmt: skip
    queued = (await house.order(buyer, sale)).json()["order_id"]
    for decided in (False, True):
        for order_id in (queued, "unknown", "%00", "x" * 300):
            for method, what in (("GET", ""), ("POST", "/cancel"), ("POST", "/payment")):
                headers = {"Idempotency-Key": key()}
                answer = await stranger.ask(method, f"/orders/{order_id}{what}", headers=headers, json={})
                problem(answer, 404, "unknown_order")
        problem(await operator.ask("GET", f"/orders/{queued}"), 403, "forbidden")
        if not decided:
            await house.decide(sale)
    assert (await buyer.ask("GET", f"/orders/{queued}")).json()["state"] == "reserved"
    assert [one["order_id"] for one in (await buyer.ask("GET", "/orders")).json()["items"]] == [queued]
    assert (await stranger.ask("GET", "/orders")).json() == {"items": [], "next_cursor": None}
    problem(await buyer.ask("GET", "/orders?cursor=nonsense"), 422, "bad_fields")
    problem(await buyer.ask("GET", "/orders?limit=many"), 422, "bad_fields")
    problem(await buyer.ask("GET", "/orders?limit=0"), 422, "bad_fields")


async def test_a_queued_order_is_cancelled_under_its_own_id(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    order_id = (await house.order(buyer, sale)).json()["order_id"]
    assert (await buyer.ask("POST", f"/orders/{order_id}/cancel")).json()["state"] == "cancelled"
    await house.decide(sale)
    assert (await buyer.ask("GET", f"/orders/{order_id}")).json()["state"] == "cancelled"
    assert await lane_length(house, sale) == 0


async def test_a_reserved_order_is_cancelled_twice_and_then_cannot_be_paid(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    order_id = await house.reserved(buyer, sale)
    for _ in range(2):
        cancelled = await buyer.ask("POST", f"/orders/{order_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    body = problem(
        await buyer.ask("POST", f"/orders/{order_id}/payment", headers={"Idempotency-Key": key()}),
        409,
        "illegal_move",
    )
    assert (body["current"], body["wanted"]) == ("cancelled", "paying")


async def test_a_payment_needs_a_key_a_known_provider_and_an_answer_of_it(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    order_id = await house.reserved(buyer, sale)
    path, headers = f"/orders/{order_id}/payment", {"Idempotency-Key": key()}
    problem(await buyer.ask("POST", path), 400, "idempotency_key_missing")
    problem(
        await buyer.ask("POST", path, headers=headers, json={"provider": "nobody"}), 404, "unknown_provider"
    )
    problem(await buyer.ask("POST", path, headers=headers, json={"provider": 5}), 422, "bad_fields")
    # Nobody listens at the provider's address in these tests.
    problem(await buyer.ask("POST", path, headers=headers), 503, "provider_unavailable")
    seen = (await buyer.ask("GET", f"/orders/{order_id}")).json()
    assert seen["state"] in ("paying", "reserved")
    assert seen["total"] == PRICE


async def test_callbacks_are_refused_without_a_good_signature(house: House) -> None:
    path = "/api/v1/payments/callbacks"
    problem(await house.client.post(f"{path}/nobody", content=b"{}"), 404, "unknown_provider")
    problem(await house.client.post(f"{path}/simulator", content=b"{}"), 401, "bad_signature")
    problem(await house.client.post(f"{path}/simulator", content=b"\xff" * 100), 401, "bad_signature")
    problem(await house.client.post(f"{path}/simulator", content=b"x" * 20_000), 413, "too_large")
    problem(await house.client.get(f"{path}/simulator"), 405, "method_not_allowed")


async def test_a_callback_is_read_no_further_than_callbacks_are_long(house: House) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 100:
            read += 1
            yield b"x" * 4_096

    answer = await house.client.post("/api/v1/payments/callbacks/simulator", content=endless())
    problem(answer, 413, "too_large")
    assert read <= MAX_CALLBACK_BYTES // 4_096 + 2

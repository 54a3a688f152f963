"""Operators find an order by what a buyer can name, and read its whole story; each role sees what it may."""

from __future__ import annotations

import csv
import io

from shop.sales.line import copy_calls
from shop.sales.turns import CallRow
from shop.storage.columns import from_millis
from tests.api.conftest import House, Person, problem


async def copied(house: House, sale: str) -> None:
    """What the leader's clerk does: keep the call log."""
    rows = [
        CallRow(
            one.entry_id, one.event, one.ticket_id, from_millis(one.at_ms), one.number, one.turn, one.detail
        )
        for one in await house.services.room.read_calls(house.sale_id(sale), 1000)
    ]
    copy_calls(house.services.db, house.sale_id(sale), rows)


async def found(operator: Person, query: str) -> list[str]:
    answer = await operator.ask("GET", f"/operator/orders?{query}")
    assert answer.status_code == 200, answer.text
    return [one["order_id"] for one in answer.json()["items"]]


async def test_an_order_is_found_by_whatever_its_buyer_can_name(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    mine, other = await house.buyer(), await house.buyer()
    order_id, _ = await house.reserved(mine, slug), await house.reserved(other, slug)
    answer = await operator.ask("POST", "/operator/orders/search", json={"email": mine.email.upper()})
    assert [one["order_id"] for one in answer.json()["items"]] == [order_id]
    nobody = await operator.ask("POST", "/operator/orders/search", json={"email": "nobody@example.test"})
    assert nobody.json() == {"items": [], "next_cursor": None}
    assert await found(operator, f"order_id={order_id}") == [order_id]
    assert await found(operator, f"account_id={mine.account_id}") == [order_id]
    assert await found(operator, "payment_id=nothing") == []
    assert len(await found(operator, f"product_id={house.products[0]}&sale={slug}")) == 2
    assert await found(operator, f"product_id=nothing&sale={slug}") == []
    noted = (await operator.ask("GET", "/operator/audit?action=find-buyer")).json()["items"]
    assert [one["subject"] for one in noted] == [mine.account_id]
    assert mine.email not in str(noted)
    viewer = await house.operator("viewer")
    problem(await viewer.ask("POST", "/operator/orders/search", json={"email": mine.email}), 403, "forbidden")


async def looks_at(operator: Person, order_id: str) -> list[str]:
    """Who opened the personal data of this order."""
    looks = (await operator.ask("GET", "/operator/audit?action=open-person")).json()["items"]
    return [one["operator_id"] for one in looks if one["subject"] == order_id]


async def test_the_story_tells_everything_and_each_look_at_personal_data_is_written_down(
    house: House,
) -> None:
    slug, operator, viewer = await house.sale(), await house.operator(), await house.operator("viewer")
    buyer = await house.buyer()
    order_id = await house.reserved(buyer, slug)
    await copied(house, slug)
    path = f"/operator/orders/{order_id}"
    problem(await buyer.ask("GET", path), 403, "forbidden")
    problem(await viewer.ask("GET", "/operator/orders/nothing"), 404, "unknown_order")

    masked = await viewer.ask("GET", path)
    assert buyer.email not in masked.text
    assert "Kim" not in masked.text
    assert masked.json()["person"] == {"masked": True, "email": "b…@e….test", "name": "K…", "phone": ""}
    assert await looks_at(operator, order_id) == []

    told = (await operator.ask("GET", path)).json()
    assert (told["person"]["email"], told["person"]["name"]) == (buyer.email, "Kim Minji")
    assert await looks_at(operator, order_id) == [operator.account_id]
    happened = [(one["kind"], one["what"]) for one in told["moments"]]
    for one in (
        ("turn", "call"),
        ("turn", "claim"),
        ("order", "accepted"),
        ("order", "decided"),
        ("reservation", "held"),
    ):
        assert one in happened
    letters = [one["detail"] for one in told["moments"] if one["kind"] == "effect"]
    assert [(one["effect"], one["name"], one["attempts"]) for one in letters] == [("mail", "reserved", 0)]
    assert [one["at"] for one in told["moments"]] == sorted(one["at"] for one in told["moments"])


async def test_every_page_of_the_desk_opens_for_viewers_in_both_languages(house: House) -> None:
    slug, viewer = await house.sale(), await house.operator("viewer")
    order_id = await house.reserved(await house.buyer(), slug)
    await copied(house, slug)
    paths = [
        f"/operator/orders/{order_id}",
        f"/operator/orders?sale={slug}&state=reserved&product=x",
        "/operator/stuck",
    ]
    paths += ["/operator/books?run=yes", f"/operator/sales/{slug}/fairness"]
    for path in paths:
        for language in ("en", "ko"):
            headers = {"Authorization": f"Bearer {viewer.token}", "Accept-Language": language}
            shown = await house.client.get(path, headers=headers)
            assert shown.status_code == 200, (path, shown.text)
            assert f'<html lang="{language}"' in shown.text
            assert "Show personal data" not in shown.text


async def test_tables_of_orders_and_ledger_carry_persons_for_operators_alone(house: House) -> None:
    slug, operator, viewer = await house.sale(), await house.operator(), await house.operator("viewer")
    buyer = await house.buyer()
    order_id = await house.reserved(buyer, slug)
    path = f"/operator/orders.csv?sale={slug}"
    problem(await buyer.ask("GET", path), 403, "forbidden")
    problem(await viewer.ask("GET", "/operator/orders.csv?sale=nothing"), 404, "unknown_sale")

    (row,) = csv.DictReader(io.StringIO((await viewer.ask("GET", path)).text))
    assert (row["order_id"], row["state"], row["seq"]) == (order_id, "reserved", "1")
    assert "email" not in row
    assert (await operator.ask("GET", "/operator/audit?action=export-persons")).json()["items"] == []
    (row,) = csv.DictReader(io.StringIO((await operator.ask("GET", path)).text))
    assert (row["email"], row["name"]) == (buyer.email, "Kim Minji")
    assert len((await operator.ask("GET", "/operator/audit?action=export-persons")).json()["items"]) == 1

    ledger = await viewer.ask("GET", f"/operator/ledger.csv?sale={slug}")
    rows = list(csv.DictReader(io.StringIO(ledger.text)))
    assert [(one["reason"], one["order_id"]) for one in rows][-1][1] == order_id
    assert sum(int(one["delta_held"]) for one in rows) == 1
    assert sum(int(one["delta_allotted"]) for one in rows) == 10

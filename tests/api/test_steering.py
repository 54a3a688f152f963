"""Every action in every state by every role, units that move while a sale runs, and the list of who did what."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from shop.sales.rules import Control
from shop.stock.reconcile import reconcile
from shop.storage.tables import sales
from tests.api.conftest import House, Person, problem

GOING_ON = ("running", "paused", "halted", "draining")
# From where each action is possible, in the contract's words and not by the table of the code.
POSSIBLE: dict[str, tuple[str, ...]] = {
    "publish": ("draft",),
    "open": ("running",),
    "pause": ("running",),
    "halt": ("running", "paused", "draining"),
    "resume": ("paused", "halted", "draining"),
    "drain": ("running", "paused"),
    "close": GOING_ON,
    "cancel": ("draft", *GOING_ON),
    "set-rate": ("draft", *GOING_ON),
    "set-capacity": ("draft", *GOING_ON),
    "announce": ("draft", *GOING_ON, "closed", "cancelled"),
    "extend-holds": (*GOING_ON, "closed"),
}
NEEDS: dict[str, dict[str, Any]] = {
    "set-rate": {"calls_per_minute": 5},
    "set-capacity": {"capacity": 5},
    "announce": {"message": {"ko": "잠시만요", "en": "A moment"}},
    "extend-holds": {"minutes": 10, "reason": "the provider is down"},
}


async def actions_noted(operator: Person, slug: str) -> list[str]:
    rows = (await operator.ask("GET", f"/operator/audit?sale={slug}&limit=200")).json()["items"]
    return [row["action"] for row in rows]


@pytest.mark.parametrize("action", POSSIBLE)
async def test_an_action_is_done_where_it_is_possible_and_refused_everywhere_else(
    house: House, action: str
) -> None:
    later = datetime.now(UTC) + timedelta(minutes=30)
    slug = await house.sale(opens_at=later.isoformat())
    operator, viewer, buyer = await house.operator(), await house.operator("viewer"), await house.buyer()
    sale_id = house.sale_id(slug)
    path, body = f"/operator/sales/{slug}/actions/{action}", NEEDS.get(action, {})
    done = 0
    for control in Control:
        values = {"control": control, "opens_at": later, "closed_at": None}
        stand = update(sales).where(sales.c.sale_id == sale_id).values(**values)
        house.services.db.run(lambda tx, now=stand: tx.execute(now))
        for stranger in (viewer, buyer):
            problem(await stranger.ask("POST", path, json=body), 403, "forbidden")
        answer = await operator.ask("POST", path, json=body)
        if control in POSSIBLE[action]:
            assert answer.status_code == 200, (control, answer.text)
            done += 1
        else:
            refused = problem(answer, 409, "illegal_move")
            assert (refused["current"], refused["wanted"]) == (control, action)
            assert (
                house.services.db.read(
                    lambda tx: tx.scalar(select(sales.c.control).where(sales.c.sale_id == sale_id))
                )
                == control
            )
    assert (await actions_noted(operator, slug)).count(action) == done == len(POSSIBLE[action])


async def test_a_lowered_number_takes_no_turn_back(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    people = [await house.buyer() for _ in range(3)]
    for person in people:
        await house.called(person, slug)
    await people[0].ask("POST", f"/sales/{slug}/pass")
    path = f"/operator/sales/{slug}/actions"
    await operator.ask("POST", f"{path}/set-capacity", json={"capacity": 1})
    await operator.ask("POST", f"{path}/set-rate", json={"calls_per_minute": 1})
    for _ in range(3):
        await house.tick(slug)
    states = [(await one.ask("GET", f"/sales/{slug}/ticket")).json()["state"] for one in people]
    assert states == ["admitted", "called", "called"]
    assert (await people[1].ask("POST", f"/sales/{slug}/pass")).status_code == 200


async def test_every_hold_of_a_sale_ends_later_when_paying_does_not_work(house: House) -> None:
    slug, other, operator = await house.sale(), await house.sale(), await house.operator()
    buyer, elsewhere = await house.buyer(), await house.buyer()
    mine, theirs = await house.reserved(buyer, slug), await house.reserved(elsewhere, other)
    before = [
        (await one.ask("GET", f"/orders/{order}")).json()["hold_expires_at"]
        for one, order in ((buyer, mine), (elsewhere, theirs))
    ]
    path = f"/operator/sales/{slug}/actions/extend-holds"
    for bad, field in (
        ({"minutes": 0}, "minutes"),
        ({"minutes": 121}, "minutes"),
        ({"reason": " "}, "reason"),
    ):
        answer = await operator.ask("POST", path, json=NEEDS["extend-holds"] | bad)
        assert [fault["field"] for fault in problem(answer, 422, "bad_fields")["errors"]] == [field]
    assert (await operator.ask("POST", path, json=NEEDS["extend-holds"])).status_code == 200
    after = [
        (await one.ask("GET", f"/orders/{order}")).json()["hold_expires_at"]
        for one, order in ((buyer, mine), (elsewhere, theirs))
    ]
    moved = [
        datetime.fromisoformat(b) - datetime.fromisoformat(a) for a, b in zip(before, after, strict=True)
    ]
    assert moved == [timedelta(minutes=10), timedelta(0)]
    noted = (await operator.ask("GET", "/operator/audit?limit=1")).json()["items"][0]["detail"]
    assert (noted["minutes"], noted["reason"], noted["holds"]) == (10, "the provider is down", 1)


# ---------------------------------------------------------------- stock


async def test_units_move_between_shelf_and_sale_and_the_line_knows(house: House) -> None:
    slug, operator, buyer = await house.sale(), await house.operator(), await house.buyer()
    product = house.products[0]
    await house.reserved(buyer, slug)
    path, why = f"/operator/sales/{slug}/stock/{product}", {"reason": "a box was found"}
    answer = await operator.ask("PUT", path, json={"allotted": 15, **why})
    assert answer.json()["items"][0]["allotted"] == 15
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    assert (await house.client.get(f"/api/v1/sales/{slug}/line")).json()["stock"]["left"] == 14
    assert await on_hand(operator, product) == 985
    for bad in (0, -1, 1001, 10**9):
        refused = problem(await operator.ask("PUT", path, json={"allotted": bad, **why}), 422, "bad_fields")
        assert [fault["field"] for fault in refused["errors"]] == ["allotted"], bad
    assert (await operator.ask("PUT", path, json={"allotted": 1, **why})).status_code == 200
    assert await on_hand(operator, product) == 999
    assert (await house.client.get(f"/api/v1/sales/{slug}/line")).json()["phase"] == "all_held"
    problem(
        await operator.ask(
            "PUT", f"/operator/sales/{slug}/stock/{house.products[1]}", json={"allotted": 1, **why}
        ),
        409,
        "not_on_sale",
    )
    assert (await actions_noted(operator, slug)).count("set-allotment") == 2
    assert reconcile(house.services.db) == []


async def test_a_sale_that_has_ended_takes_no_more_units(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    await operator.ask("POST", f"/operator/sales/{slug}/actions/close")
    path = f"/operator/sales/{slug}/stock/{house.products[0]}"
    answer = await operator.ask("PUT", path, json={"allotted": 20, "reason": "more"})
    assert problem(answer, 409, "illegal_move")["current"] == "closed"


async def test_an_allotment_makes_a_form_that_was_read_before_it_stale(house: House) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    times = {"lobby_opens_at": tomorrow, "opens_at": tomorrow, "closes_at": tomorrow + timedelta(hours=1)}
    slug = await house.sale(**{name: at.isoformat() for name, at in times.items()})
    operator = await house.operator()
    tag = (await operator.ask("GET", f"/operator/sales/{slug}")).headers["etag"]
    stock = f"/operator/sales/{slug}/stock/{house.products[0]}"
    await operator.ask("PUT", stock, json={"allotted": 11, "reason": "more"})
    change = {"items": [{"product_id": house.products[0], "allotted": 10, "limit_per_buyer": 1}]}
    answer = await operator.ask("PATCH", f"/operator/sales/{slug}", json=change, headers={"If-Match": tag})
    problem(answer, 412, "precondition_failed")


async def test_the_shelf_is_put_right_once_however_often_it_is_sent(house: House) -> None:
    operator, viewer = await house.operator(), await house.operator("viewer")
    product = house.products[1]
    path = f"/operator/products/{product}/stock"
    body = {"change": -3, "reason": "three were broken", "was": 1000}
    problem(await viewer.ask("POST", path, json=body), 403, "forbidden")
    assert (await operator.ask("POST", path, json=body)).json()["on_hand"] == 997
    again = problem(await operator.ask("POST", path, json=body), 412, "precondition_failed")
    assert again["current"] == "997"
    for bad in ({"change": 0}, {"change": -998}, {"change": 10**9}):
        answer = await operator.ask("POST", path, json={"reason": "x", **bad})
        assert [fault["field"] for fault in problem(answer, 422, "bad_fields")["errors"]] == ["change"]
    problem(
        await operator.ask("POST", "/operator/products/nothing/stock", json={"change": 1, "reason": "x"}),
        404,
        "unknown_product",
    )
    assert await on_hand(operator, product) == 997
    noted = (await operator.ask("GET", "/operator/audit?action=adjust-on-hand")).json()["items"]
    assert [row["detail"] for row in noted] == [{"from": 1000, "to": 997, "reason": "three were broken"}]


async def on_hand(operator: Person, product: str) -> int:
    shelves = (await operator.ask("GET", "/operator/products")).json()["items"]
    return next(int(shelf["on_hand"]) for shelf in shelves if shelf["product_id"] == product)


# ---------------------------------------------------------------- who did what


async def test_the_list_names_who_did_what_to_which_sale_and_leaves_as_a_table(house: House) -> None:
    slug, other, operator = await house.sale(), await house.sale(), await house.operator()
    reason = '=HYPERLINK("http://evil.example")'
    await operator.ask(
        "POST", f"/operator/sales/{slug}/actions/extend-holds", json={"minutes": 1, "reason": reason}
    )
    await operator.ask("POST", f"/operator/sales/{other}/actions/pause")
    (noted,) = (await operator.ask("GET", f"/operator/audit?sale={slug}&action=extend-holds")).json()["items"]
    assert (noted["operator"], noted["sale"]) == ("Lee Joon", slug)
    problem(await operator.ask("GET", "/operator/audit?sale=nothing"), 404, "unknown_sale")
    problem(await operator.ask("GET", "/operator/audit.csv?sale=nothing"), 404, "unknown_sale")
    table = await operator.ask("GET", f"/operator/audit.csv?sale={slug}")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in table.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["action"] for row in rows] == ["extend-holds", "create-sale"]
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    whole = list(csv.DictReader(io.StringIO((await operator.ask("GET", "/operator/audit.csv")).text)))
    assert {row["sale"] for row in whole} == {slug, other}

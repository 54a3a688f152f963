"""Operators run sales by the API: what they may do, what they are refused, what they see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import House, problem


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def test_a_created_sale_is_live_at_once_and_a_draft_is_not(house: House) -> None:
    operator = await house.operator()
    created = await operator.ask("POST", "/operator/sales", json=house.draft())
    assert created.status_code == 201
    assert created.headers["etag"] == f'"{created.json()["version"]}"'
    slug = created.json()["slug"]
    seen = (await house.client.get(f"/api/v1/sales/{slug}")).json()
    assert seen["phase"] == "open"
    assert seen["items"][0]["stock_state"] == "available"
    draft = (await operator.ask("POST", "/operator/sales", json=house.draft(draft=True))).json()["slug"]
    problem(await house.client.get(f"/api/v1/sales/{draft}"), 404, "unknown_sale")
    await operator.ask("POST", f"/operator/sales/{draft}/actions/publish")
    assert (await house.client.get(f"/api/v1/sales/{draft}")).status_code == 200
    listed = [one["slug"] for one in (await operator.ask("GET", "/operator/sales")).json()["items"]]
    assert {slug, draft} <= set(listed)


async def test_every_bad_field_of_a_sale_is_named_at_once(house: House) -> None:
    operator = await house.operator()
    items = [
        {"product_id": "nothing", "allotted": 1, "limit_per_buyer": 1},
        {"product_id": house.products[0], "allotted": -1, "limit_per_buyer": 0},
    ]
    bad = house.draft(
        slug="Not a slug",
        title=" ",
        mode="lottery",
        guests=True,
        closes_at=in_hours(-2),
        calls_per_minute=0,
        capacity=10**30,
        turn_window_s=1,
        hold_s=0,
        over_call_limit=3.0,
        items=items,
        message={"ko": "x" * 501},
    )
    errors = problem(await operator.ask("POST", "/operator/sales", json=bad), 422, "bad_fields")["errors"]
    assert {error["field"] for error in errors} >= {
        *("slug", "title", "mode", "guests", "closes_at", "calls_per_minute", "capacity", "turn_window_s"),
        *("hold_s", "over_call_limit", "items.0.product_id", "items.1.allotted", "items.1.limit_per_buyer"),
        "message.ko",
    }
    assert all(error["message"] for error in errors)
    assert (await operator.ask("GET", "/operator/sales")).json()["items"] == []


@pytest.mark.parametrize("change", [{"mode": "lottery"}])
async def test_what_does_not_exist_yet_is_refused(house: House, change: dict[str, Any]) -> None:
    operator = await house.operator()
    answer = await operator.ask("POST", "/operator/sales", json=house.draft(**change))
    assert [error["field"] for error in problem(answer, 422, "bad_fields")["errors"]] == list(change)


async def test_a_draw_takes_no_guests(house: House) -> None:
    operator = await house.operator()
    bad = house.draft(mode="draw", guests=True)
    errors = problem(await operator.ask("POST", "/operator/sales", json=bad), 422, "bad_fields")["errors"]
    assert [error["field"] for error in errors] == ["guests"]


async def test_a_change_names_the_version_that_it_was_made_from(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    path = f"/operator/sales/{slug}"
    tag = (await operator.ask("GET", path)).headers["etag"]
    body = {"capacity": 50}
    problem(await operator.ask("PATCH", path, json=body), 428, "precondition_required")
    for stale in ('"99"', "W/nonsense", "*"):
        problem(
            await operator.ask("PATCH", path, json=body, headers={"If-Match": stale}),
            412,
            "precondition_failed",
        )
    changed = await operator.ask("PATCH", path, json=body, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["capacity"]) == (200, 50)
    assert changed.headers["etag"] != tag
    problem(
        await operator.ask("PATCH", path, json=body, headers={"If-Match": tag}), 412, "precondition_failed"
    )
    await house.services.snapshot.renew()
    line = house.services.snapshot.line(slug).state
    assert line.settings.capacity == 50, "the line knows the change at once"


async def test_what_buyers_have_been_told_stays(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    path = f"/operator/sales/{slug}"
    tag = (await operator.ask("GET", path)).headers["etag"]
    for change in ({"slug": "other"}, {"opens_at": in_hours(0.5)}, {"lobby_opens_at": in_hours(0.1)}):
        answer = await operator.ask("PATCH", path, json=change, headers={"If-Match": tag})
        problem(answer, 409, "sale_frozen")
    assert (await operator.ask("GET", path)).headers["etag"] == tag


async def test_actions_move_a_sale_and_illegal_ones_name_both_states(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    path = f"/operator/sales/{slug}/actions"
    for action, phase in (("pause", "paused"), ("resume", "open"), ("halt", "halted"), ("resume", "open")):
        done = await operator.ask("POST", f"{path}/{action}")
        assert done.status_code == 200, done.text
        assert (await house.client.get(f"/api/v1/sales/{slug}")).json()["phase"] == phase
    illegal = problem(await operator.ask("POST", f"{path}/resume"), 409, "illegal_move")
    assert (illegal["current"], illegal["wanted"]) == ("running", "resume")
    problem(await operator.ask("POST", f"{path}/dance"), 404, "unknown_action")
    problem(await operator.ask("POST", "/operator/sales/nothing/actions/pause"), 404, "unknown_sale")
    assert (await operator.ask("POST", f"{path}/set-rate", json={"calls_per_minute": 7})).json()[
        "calls_per_minute"
    ] == 7
    assert (await operator.ask("POST", f"{path}/set-capacity", json={"capacity": 3})).json()["capacity"] == 3
    said = await operator.ask(
        "POST", f"{path}/announce", json={"message": {"ko": "잠시만요", "en": "A moment"}}
    )
    assert said.json()["message"] == {"ko": "잠시만요", "en": "A moment"}
    shown = (await house.client.get(f"/api/v1/sales/{slug}/line")).json()
    assert shown["message"]["ko"] == "잠시만요"


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("set-rate", {}, "calls_per_minute"),
        ("set-rate", {"calls_per_minute": 0}, "calls_per_minute"),
        ("set-rate", {"calls_per_minute": "7"}, "calls_per_minute"),
        ("set-capacity", {"capacity": 10**30}, "capacity"),
        ("pause", {"capacity": 5}, "capacity"),
        ("announce", {"message": {"en": "x" * 501}}, "message.en"),
        ("pause", {"unheard": 1}, "unheard"),
    ],
)
async def test_an_actions_bad_values_are_named(
    house: House, action: str, body: dict[str, Any], field: str
) -> None:
    slug, operator = await house.sale(), await house.operator()
    answer = await operator.ask("POST", f"/operator/sales/{slug}/actions/{action}", json=body)
    assert [error["field"] for error in problem(answer, 422, "bad_fields")["errors"]] == [field]


async def test_roles_end_where_they_should(house: House) -> None:
    slug, viewer, buyer = await house.sale(), await house.operator("viewer"), await house.buyer()
    reads = ["/operator/sales", f"/operator/sales/{slug}", f"/operator/sales/{slug}/figures"]
    reads += ["/operator/orders", "/operator/audit"]
    for path in reads:
        assert (await viewer.ask("GET", path)).status_code == 200, path
        problem(await buyer.ask("GET", path), 403, "forbidden")
        problem(await house.client.get(f"/api/v1{path}"), 401, "not_signed_in")
    pause = f"/operator/sales/{slug}/actions/pause"
    problem(await viewer.ask("POST", pause), 403, "forbidden")
    problem(await viewer.ask("POST", "/operator/sales", json=house.draft()), 403, "forbidden")
    problem(await buyer.ask("POST", pause), 403, "forbidden")
    assert (await house.client.get(f"/api/v1/sales/{slug}")).json()["phase"] == "open"


async def test_a_session_that_was_ended_runs_no_sale(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    assert (await operator.ask("DELETE", "/sessions/current")).status_code == 204
    problem(await operator.ask("POST", f"/operator/sales/{slug}/actions/pause"), 401, "not_signed_in")


async def test_figures_orders_and_audit_tell_what_happened(house: House) -> None:
    slug, operator, buyer = await house.sale(), await house.operator(), await house.buyer()
    await buyer.ask("PUT", f"/sales/{slug}/ticket")
    seen = (await operator.ask("GET", f"/operator/sales/{slug}/figures")).json()
    assert seen["line"]["waiting"] == 1
    order_id = await house.reserved(buyer, slug)
    seen = (await operator.ask("GET", f"/operator/sales/{slug}/figures")).json()
    assert seen["orders"] == {"reserved": 1}
    assert (seen["stock"][0]["held"], seen["stock"][0]["allotted"]) == (1, 10)
    assert seen["line"]["ordering"] == 1
    assert seen["leading"] is True
    assert len(seen["calls"]) == 15
    found = (await operator.ask("GET", f"/operator/orders?sale={slug}&state=reserved")).json()["items"]
    assert [one["order_id"] for one in found] == [order_id]
    assert buyer.email not in str(found)
    problem(await operator.ask("GET", "/operator/orders?state=dreaming"), 422, "bad_fields")
    problem(await operator.ask("GET", "/operator/orders?sale=nothing"), 404, "unknown_sale")
    problem(await operator.ask("GET", "/operator/audit?cursor=x"), 422, "bad_fields")
    await operator.ask("POST", f"/operator/sales/{slug}/actions/pause")
    noted = (await operator.ask("GET", "/operator/audit?limit=1")).json()
    assert noted["items"][0]["action"] == "pause"
    assert noted["items"][0]["operator_id"] == operator.account_id
    older = (await operator.ask("GET", f"/operator/audit?cursor={noted['next_cursor']}")).json()
    assert "create-sale" in [row["action"] for row in older["items"]]

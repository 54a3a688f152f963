"""The fairness report: whole for operators at any time, public once the sale has ended."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

from shop.sales.line import copy_calls, note_numbers
from shop.sales.turns import CallRow
from shop.storage.columns import from_millis
from tests.api.conftest import House, problem


async def copied(house: House, sale: str) -> None:
    """What the leader's clerk does: keep the call log, and when numbers were given."""
    sale_id = house.sale_id(sale)
    rows = [
        CallRow(
            one.entry_id, one.event, one.ticket_id, from_millis(one.at_ms), one.number, one.turn, one.detail
        )
        for one in await house.services.room.read_calls(sale_id, 1000)
    ]
    copy_calls(house.services.db, sale_id, rows)
    note_numbers(house.services.db, sale_id, 1000, datetime.now(UTC))


async def test_a_sale_tells_operators_how_fair_it_is_and_everybody_once_it_has_ended(house: House) -> None:
    slug, operator, viewer = await house.sale(), await house.operator(), await house.operator("viewer")
    first, second = await house.buyer(), await house.buyer()
    for person in (first, second):
        await house.reserved(person, slug)
    await copied(house, slug)
    public, inside = f"/api/v1/sales/{slug}/fairness", f"/operator/sales/{slug}/fairness"
    problem(await house.client.get(public), 409, "not_over_yet")
    problem(await house.client.get("/api/v1/sales/nothing/fairness"), 404, "unknown_sale")
    problem(await first.ask("GET", inside), 403, "forbidden")

    told = (await viewer.ask("GET", inside)).json()
    assert (told["called"], told["calls"], told["inversions"], told["claimed"]) == (2, 2, 0, 2)
    assert told["decisions"] == {"decided": 2, "inversions": 0, "by_state": {"reserved": 2}}
    assert told["ended"] is False
    assert told["waits"]["p50_s"] == 0
    assert (await viewer.ask("GET", f"/operator/sales/{slug}/figures")).json()["waits"] == told["waits"]
    assert told["actions"][0]["action"] == "create-sale"
    assert told["actions"][0]["operator"] == "Lee Joon"

    assert (await operator.ask("POST", f"/operator/sales/{slug}/actions/close")).status_code == 200
    answer = await house.client.get(public)
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers.get("set-cookie") is None
    seen = answer.json()
    assert seen["ended"] is True
    assert [one["action"] for one in seen["actions"]] == ["create-sale", "close"]
    assert "Lee Joon" not in answer.text
    assert "detail" not in answer.text
    for language, word in (("en", "Nobody overtook anybody"), ("ko", "아무도")):
        shown = await house.client.get(f"/sales/{slug}/fairness", headers={"Accept-Language": language})
        assert word in shown.text, shown.text


async def test_every_call_can_be_had_as_a_table_by_operators_alone(house: House) -> None:
    slug, viewer, buyer = await house.sale(), await house.operator("viewer"), await house.buyer()
    ticket = await house.called(buyer, slug)
    await copied(house, slug)
    path = f"/operator/sales/{slug}/fairness.csv"
    problem(await buyer.ask("GET", path), 403, "forbidden")
    rows = list(csv.DictReader(io.StringIO((await viewer.ask("GET", path)).text)))
    assert [(one["event"], one["ticket_id"], one["waited_s"]) for one in rows] == [
        ("call", ticket["ticket_id"], "0")
    ]

"""What is stuck is shown with its order and can be tried again; books that do not add up are named by row."""

from __future__ import annotations

from sqlalchemy import update

from shop.storage.database import Tx
from shop.storage.tables import orders, outbox, sale_items
from tests.api.conftest import House, problem


async def test_a_letter_that_was_given_up_is_listed_and_tried_again_once(house: House) -> None:
    slug, operator, viewer = await house.sale(), await house.operator(), await house.operator("viewer")
    order_id = await house.reserved(await house.buyer(), slug)
    db = house.services.db
    assert (await viewer.ask("GET", "/operator/stuck")).json()["items"] == []

    def give_up(tx: Tx) -> None:
        mine = outbox.c.dedupe == f"mail:{order_id}:reserved"
        assert tx.execute(
            update(outbox).where(mine).values(dead_at=tx.now, attempts=12, last_error="refused")
        ).rowcount

    db.run(give_up)
    (thing,) = (await viewer.ask("GET", "/operator/stuck")).json()["items"]
    assert (thing["kind"], thing["order_id"], thing["note"], thing["attempts"]) == (
        "effect",
        order_id,
        "mail: refused",
        12,
    )
    path = f"/operator/effects/{thing['ref']}/retry"
    problem(await viewer.ask("POST", path), 403, "forbidden")
    assert (await operator.ask("POST", path)).status_code == 204
    problem(await operator.ask("POST", path), 409, "not_stuck")
    assert (await viewer.ask("GET", "/operator/stuck")).json()["items"] == []
    (noted,) = (await operator.ask("GET", "/operator/audit?action=retry")).json()["items"]
    assert (noted["subject"], noted["detail"]["effect"]) == (order_id, "mail")


async def test_an_order_to_review_is_listed(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    order_id = await house.reserved(await house.buyer(), slug)
    house.services.db.run(
        lambda tx: tx.execute(update(orders).values(review_reason="provider_unknown")) and None
    )
    (thing,) = (await operator.ask("GET", "/operator/stuck")).json()["items"]
    assert (thing["kind"], thing["order_id"], thing["note"]) == ("review", order_id, "provider_unknown")


async def test_books_that_do_not_add_up_are_named_by_row(house: House) -> None:
    slug, viewer = await house.sale(), await house.operator("viewer")
    await house.reserved(await house.buyer(), slug)
    told = (await viewer.ask("GET", "/operator/reconciliation")).json()
    assert (told["adds_up"], told["items"]) == (True, [])
    house.services.db.run(lambda tx: tx.execute(update(sale_items).values(held=2)) and None)
    told = (await viewer.ask("GET", "/operator/reconciliation")).json()
    assert told["adds_up"] is False
    assert {(one["table"], one["field"], one["found"], one["expected"]) for one in told["items"]} == {
        ("sale_items", "held", 2, 1)
    }
    assert "held is 2, the ledger says 1" in told["items"][0]["sentence"]

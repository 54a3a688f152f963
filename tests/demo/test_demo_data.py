"""The demo's data is stable, made once, and always holds an open sale with stock."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select, update

from firstcome import demo_data, wiring
from firstcome.settings import Settings
from gateway.sessions import Sessions
from shop.accounts.operators import list_operators
from shop.accounts.sessions import session_is_live, sign_in
from shop.sales.reading import list_sales, read_sale
from shop.sales.rules import Control
from shop.stock.reconcile import reconcile
from shop.storage.database import Database
from shop.storage.tables import accounts, sale_items, sales


@pytest.fixture
def prepared(settings: Settings) -> Settings:
    demo_data.prepare(settings)
    return settings


def test_a_second_start_changes_nothing(prepared: Settings, db: Database) -> None:
    before = read_sale(db, "demo")

    demo_data.prepare(prepared)

    assert read_sale(db, "demo") == before
    assert db.read(lambda tx: tx.scalar(select(func.count()).select_from(accounts))) == 50


def test_buyers_may_sign_in_and_are_verified(prepared: Settings, db: Database) -> None:
    kit = wiring.account_kit(prepared)

    for number in (1, 50):
        signed_in = sign_in(db, kit, f"buyer{number}@example.test", "demo-buyer-pass")
        assert signed_in.verified


def test_there_is_an_operator_and_a_viewer(prepared: Settings, db: Database) -> None:
    people = list_operators(db, wiring.account_kit(prepared))

    assert {person.email: str(person.role) for person in people} == {
        "operator@example.test": "operator",
        "viewer@example.test": "viewer",
    }


def test_the_sale_has_several_products_with_limited_stock_and_the_books_add_up(
    prepared: Settings, db: Database
) -> None:
    sale = read_sale(db, "demo")

    assert len(sale.items) == 4
    assert all(0 < item.limit_per_buyer < item.allotted for item in sale.items)
    assert reconcile(db) == []


@pytest.mark.parametrize("ending", ["closed", "sold out", "paused"])
def test_a_sale_that_is_over_makes_way_for_a_new_one(prepared: Settings, db: Database, ending: str) -> None:
    old = read_sale(db, "demo")
    control = {"closed": Control.CLOSED, "paused": Control.PAUSED}.get(ending, Control.RUNNING)
    db.run(lambda tx: tx.execute(update(sales).values(control=control)))
    if ending == "sold out":
        db.run(lambda tx: tx.execute(update(sale_items).values(sold=sale_items.c.allotted)))

    demo_data.prepare(prepared)
    demo_data.prepare(prepared)

    new = read_sale(db, "demo")
    assert new.sale_id != old.sale_id
    assert new.control is Control.RUNNING
    renamed = [sale for sale in list_sales(db).items if sale.sale_id == old.sale_id]
    assert renamed[0].slug == f"demo-{new.created_at:%Y-%m-%d}"
    assert renamed[0].version == old.version + 1
    assert len([sale for sale in list_sales(db).items if sale.slug.startswith("demo")]) == 2


def test_two_sales_that_end_on_one_day_get_different_names(prepared: Settings, db: Database) -> None:
    for _ in range(2):
        db.run(lambda tx: tx.execute(update(sales).values(control=Control.CLOSED)))
        demo_data.prepare(prepared)

    day = f"{read_sale(db, 'demo').created_at:%Y-%m-%d}"
    assert {sale.slug for sale in list_sales(db).items if "demo" in sale.slug} == {
        *("demo", f"demo-{day}", f"demo-{day}-2"),
    }


def test_every_start_finds_a_draw_whose_lobby_is_open(prepared: Settings, db: Database) -> None:
    first = read_sale(db, "draw")
    assert (first.mode, first.control) == ("draw", Control.RUNNING)
    assert first.draw is not None
    assert len(first.draw.commitment) == 64
    now = db.read(lambda tx: tx.now)
    assert first.lobby_opens_at <= now < first.opens_at
    demo_data.prepare(prepared)
    assert read_sale(db, "draw") == first
    mine = sales.c.sale_id == first.sale_id
    db.run(lambda tx: tx.execute(update(sales).where(mine).values(opens_at=now)))
    demo_data.prepare(prepared)
    second = read_sale(db, "draw")
    assert second.sale_id != first.sale_id
    assert second.opens_at > now
    assert read_sale(db, f"draw-{now:%Y-%m-%d}").sale_id == first.sale_id


def test_tokens_open_the_doors_of_verified_buyers(prepared: Settings, db: Database) -> None:
    lines = [json.loads(line) for line in demo_data.tokens(prepared, 60)]

    assert [line["email"] for line in lines[:2]] == ["buyer1@example.test", "buyer2@example.test"]
    assert len({line["account_id"] for line in lines}) == 60
    reader = Sessions(prepared.keyring.derive("session"), prepared.keyring.derive("csrf"))
    for line in (lines[0], lines[-1]):
        principal = reader.read(line["access_token"], "bearer")
        assert principal is not None
        assert (principal.subject_id, principal.kind, principal.verified) == (
            line["account_id"],
            "buyer",
            True,
        )
        assert db.read(session_is_live, principal.session_id)

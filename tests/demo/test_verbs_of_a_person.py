"""The verbs that an operator's admin types, against a real database and a real Redis."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result
from sqlalchemy import update

from firstcome import demo_data, forgetful_redis, wiring
from firstcome.cli import cli
from firstcome.servers import ServerFault
from firstcome.settings import Settings
from shop.accounts.operators import list_operators
from shop.accounts.rules import BadCredentials, SessionEnded
from shop.accounts.sessions import operator_sign_in, refresh
from shop.sales.audit import list_audit
from shop.sales.publication import read_publication
from shop.sales.reading import live_sale_ids
from shop.storage.database import Database
from shop.storage.tables import sale_items
from waiting_room.keys import SaleKeys
from workers.publish import publish_sale


def run(settings: Settings, *words: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli, words, env=settings.as_environment(), input=typed)


def test_an_operator_is_created_with_a_password_that_is_asked_for(settings: Settings, db: Database) -> None:
    words = ("operator", "create", "--email", "ada@example.com", "--name", "Ada", "--role", "admin")

    said = run(settings, *words, typed="correct horse battery\ncorrect horse battery\n")

    assert said.exit_code == 0, said.output
    assert "ada@example.com may sign in as admin." in said.output
    assert "horse" not in said.output
    kit = wiring.account_kit(settings)
    assert [person.name for person in list_operators(db, kit)] == ["Ada"]
    ada = operator_sign_in(db, kit, "ada@example.com", "correct horse battery")
    assert ada.role == "admin"

    gone = [
        run(settings, "operator", "disable", "--email", name)
        for name in ("Ada@example.com", "bob@example.com")
    ]
    assert [one.exit_code for one in gone] == [0, 1]
    assert gone[1].output == "firstcome: there is no operator with this address.\n"
    with pytest.raises(BadCredentials):
        operator_sign_in(db, kit, "ada@example.com", "correct horse battery")
    with pytest.raises(SessionEnded):
        refresh(db, kit, ada.refresh_token)


def test_an_operator_with_a_known_address_or_a_weak_password_is_refused_in_one_line(
    settings: Settings,
) -> None:
    words = (
        "operator",
        "create",
        "--email",
        "ada@example.com",
        "--name",
        "Ada",
        "--role",
        "viewer",
        "--password",
    )
    assert run(settings, *words, "correct horse battery").exit_code == 0

    again, weak = run(settings, *words, "correct horse battery"), run(settings, *words, "short")

    assert again.exit_code == weak.exit_code == 1
    assert "there is an operator with this address" in again.output
    assert len(weak.output.splitlines()) == 1
    assert "password" in weak.output


def test_after_a_rotation_an_older_key_is_needed_for_open_sales_only(
    settings: Settings, db: Database
) -> None:
    demo_data.prepare(settings)
    old = settings.secret_keys
    new = "new:" + base64.urlsafe_b64encode(bytes(range(100, 132))).decode()
    both = settings.model_copy(update={"secret_keys": f"{new},{old}"})

    said = run(both, "keys", "rotate")

    key_id = settings.keyring.active
    assert said.exit_code == 0, said.output
    assert "Sealed anew with new: " in said.output
    assert "Sealed anew with new: 0" not in said.output
    assert f"Keep {key_id}: tickets are signed with it in demo" in said.output
    assert "Sealed anew with new: 0 rows." in run(both, "keys", "rotate").output
    alone = Settings(_env_file=None, **(settings.model_dump() | {"secret_keys": new}))
    people = list_operators(db, wiring.account_kit(alone))
    assert "operator@example.test" in [person.email for person in people]
    backwards = run(settings, "keys", "rotate")
    assert (backwards.exit_code, len(backwards.output.splitlines())) == (1, 1), "the key is not there"


def test_migrating_again_is_harmless(settings: Settings) -> None:
    said = run(settings, "migrate")

    assert (said.exit_code, said.output) == (0, "The database has the present schema.\n")


def test_reconcile_says_exactly_what_is_off(settings: Settings, db: Database) -> None:
    demo_data.prepare(settings)
    assert run(settings, "reconcile").output == "The books add up.\n"
    item = sale_items.c.product_id == "moon-jar"
    db.run(lambda tx: tx.execute(update(sale_items).where(item).values(held=1)))

    said = run(settings, "reconcile")

    assert said.exit_code == 1
    assert "held is 1" in said.output
    assert "The books do not add up" in said.output

    assert run(settings, "reconcile", "--apply").exit_code == 2
    assert run(settings, "reconcile", "--reason", "a typo").exit_code == 2
    mended = run(settings, "reconcile", "--apply", "--reason", "a typo")
    assert mended.exit_code == 0, mended.output
    assert "put right: sale_items" in mended.output
    assert mended.output.endswith("The books add up.\n")
    assert [row.detail["why"] for row in list_audit(db, action="reconcile")] == ["a typo"] * 2, (
        "one row a sale"
    )


def test_reconcile_lays_wrong_copies_anew_and_says_so(
    settings: Settings, db: Database, redis_sync: redis.Redis
) -> None:
    demo_data.prepare(settings)
    sale_id = live_sale_ids(db)[0]
    publish_sale(redis_sync, read_publication(db, sale_id))
    key = SaleKeys(sale_id).stock
    sound = redis_sync.hgetall(key)
    redis_sync.hset(key, mapping={"version": "1000000", "sold": "3"})

    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    found = sale_items.c.product_id == "moon-jar"
    db.run(lambda tx: tx.execute(update(sale_items).where(found).values(held=1)))
    said = run(away, "reconcile", "--apply", "--reason", "a typo")
    assert said.exit_code == 1
    assert "put right: sale_items" in said.output, "what was changed is told whatever comes after it"
    assert "Redis does not answer" in said.output

    said = run(settings, "reconcile")

    assert said.exit_code == 0, said.output
    assert f"put right: redis {key}: sold is 3, the database says 0" in said.output
    assert redis_sync.hgetall(key) == {**sound, "version": str(int(sound["version"]) + 1)}


def test_the_doctor_finds_healthy_stores(settings: Settings) -> None:
    said = run(settings, "doctor", "--stores")

    assert said.exit_code == 0, said.output
    assert "maxmemory-policy is noeviction" in said.output
    assert "has the present schema" in said.output


def test_a_redis_that_throws_things_away_stops_the_start_and_is_named(
    settings: Settings, redis_sync: redis.Redis, tmp_path: Path
) -> None:
    serious = settings.model_copy(update={"demo": False})
    forgetful_redis.refuse(serious)
    redis_sync.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ServerFault, match="maxmemory-policy allkeys-lru"):
            forgetful_redis.refuse(serious)
        said = run(settings, "doctor", "--stores")
    finally:
        redis_sync.config_set("maxmemory-policy", "noeviction")

    assert said.exit_code == 1
    assert "-> Set maxmemory-policy noeviction" in said.output

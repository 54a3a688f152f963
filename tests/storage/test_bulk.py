"""Many rows at once arrive in the database as if each had been bound by itself, whatever stands in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from shop.orders.rules import OrderState
from shop.storage.columns import is_among
from shop.storage.database import MANY_ROWS, Database, Tx
from shop.storage.tables import audit, orders, outbox, products

NOW = datetime(2030, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
AWKWARD = (
    "plain",
    "달항아리 · 21 cm",
    'it\'s "quoted"',
    "back\\slash\\",
    "%s %(name)s 100 % :name",
    "line\nbreak\r\x00\x1a\t",
    "'); DROP TABLE orders; -- ",
    "",
    "🎫",
)
MANY = 2 * MANY_ROWS


def product(number: int) -> dict[str, Any]:
    text = AWKWARD[number % len(AWKWARD)]
    return {
        "product_id": f"p{number:04}",
        "title": text,
        "description": text * 3,
        "price": 2**40 + number,
        "currency": "KRW",
        "image": None if number % 2 else "a.svg",
        "on_hand": number,
        "created_at": NOW + timedelta(milliseconds=number),
    }


def order(number: int) -> dict[str, Any]:
    return {
        "order_id": f"o{number}",
        "sale_id": "a'sale\\",
        "account_id": f"konto-ü{number}",  # ids are ASCII; anything else is kept escaped
        "seq": number,
        "state": OrderState.RESERVED,
        "reason": None,
        "pass_jti": f"t{number}.1",
        "pass_claim": None,
        "total": 0,
        "currency": "KRW",
        "address_sealed": bytes(range(256)) if number % 2 else None,
        "accepted_no": number,
        "accepted_at": NOW,
        "decided_at": NOW,
        "hold_expires_at": None,
        "updated_at": NOW,
    }


def letter(number: int, sealed: bytes) -> dict[str, Any]:
    return {
        "kind": "mail",
        "dedupe": f"mail:{number}",
        "payload_sealed": sealed,
        "attempts": 0,
        "due_at": NOW,
        "created_at": NOW,
    }


@pytest.mark.parametrize(("table", "row"), [(products, product), (orders, order)])
def test_many_rows_arrive_as_single_ones_do(db: Database, table: Any, row: Any) -> None:
    key = table.primary_key.columns.values()[0]
    rows = [row(number) for number in range(MANY)]
    for one in rows:
        db.run(lambda tx, one=one: tx.insert(table, [one]))
    singly = db.read(lambda tx: tx.all(select(table).order_by(key)))
    db.run(lambda tx: tx.execute(table.delete()))
    db.run(lambda tx: tx.insert(table, rows))
    assert db.read(lambda tx: tx.all(select(table).order_by(key))) == singly
    assert len(singly) == MANY


# All of Unicode but lone surrogates, and more often what means something in SQL.
_MEANING = "'\"\\\0\n\r\x1a%:?-;`_ 🎫é가\uffff\U0010ffff"
TEXTS = st.text(st.sampled_from(_MEANING) | st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.none() | TEXTS, min_size=1, max_size=4),
    blobs=st.lists(st.binary(max_size=12), min_size=1, max_size=3),
    numbers=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=2),
    millis=st.integers(0, 253_402_300_799_999),
)
def test_whatever_is_written_is_what_is_read(
    db: Database, texts: list[str | None], blobs: list[bytes], numbers: list[int], millis: int
) -> None:
    """Text, bytes, numbers, moments and None, many rows at once; a transaction each, that takes its rows back."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    rows = [
        {
            "kind": (texts[n % len(texts)] or "")[::-1],
            "dedupe": f"{n:03}",
            "payload_sealed": blobs[n % len(blobs)],
            "attempts": numbers[n % len(numbers)],
            "last_error": texts[n % len(texts)],
            "due_at": at,
            "lease_until": at if n % 2 else None,
            "created_at": NOW,
        }
        for n in range(MANY_ROWS)
    ]

    def there_and_back(tx: Tx) -> None:
        tx.insert(outbox, rows)
        found = tx.all(select(*(outbox.c[name] for name in rows[0])).order_by(outbox.c.dedupe))
        assert [dict(row._mapping) for row in found] == rows
        tx.execute(outbox.delete())

    db.run(there_and_back)


def test_what_is_there_already_is_left_as_it_is(db: Database) -> None:
    rows = [letter(number, b"first") for number in range(MANY)]
    db.run(lambda tx: tx.insert_missing(outbox, rows))
    more = [letter(number, b"second") for number in range(2 * MANY)]
    db.run(lambda tx: tx.insert_missing(outbox, more))
    found = db.read(lambda tx: tx.scalars(select(outbox.c.payload_sealed).order_by(outbox.c.outbox_id)))
    assert found == [b"first"] * MANY + [b"second"] * MANY


def test_a_refused_row_takes_all_of_them_back_and_its_values_are_told_to_nobody(db: Database) -> None:
    rows = [product(number) | {"description": "a secret"} for number in range(MANY)]
    with pytest.raises(DBAPIError) as refused:
        db.run(
            lambda tx: tx.insert(products, [*rows, {**rows[0], "product_id": "p-negative", "on_hand": -1}])
        )
    assert "a secret" not in str(refused.value)
    assert db.read(lambda tx: tx.all(select(products))) == []


def test_ids_are_found_among_many_as_if_each_had_been_bound_by_itself(db: Database) -> None:
    ids = [*(text.replace("\x00", "") for text in AWKWARD), "%%", "''", "\\'", "a' OR '1'='1"]
    column = outbox.c.dedupe
    for name in ids:
        db.run(lambda tx, name=name: tx.insert(outbox, [letter(0, b"") | {"dedupe": name}]))

    def found(condition: Any) -> list[str]:
        return db.read(lambda tx: list(tx.scalars(select(column).where(condition))))

    for name in ids:
        assert found(is_among(column, [name])) == found(column == name)
        assert len(found(column == name)) == 1
    assert sorted(found(is_among(column, ids))) == sorted(found(column.is_not(None)))
    assert found(is_among(column, [])) == []


def test_a_value_of_another_kind_is_refused(db: Database) -> None:
    rows = [product(number) for number in range(MANY)]
    rows[3]["created_at"] = "1 OR 1"
    with pytest.raises(Exception, match=r"str|SQLite"):
        db.run(lambda tx: tx.insert(products, rows))
    assert db.read(lambda tx: tx.all(select(products))) == []


def test_columns_that_only_bind_are_bound(db: Database) -> None:
    rows = [
        {"operator_id": "o", "action": "x", "subject": "s", "detail": {"텍스트": [1, None]}, "at": NOW}
        for _ in range(MANY)
    ]
    db.run(lambda tx: tx.insert(audit, rows))
    assert db.read(lambda tx: tx.scalars(select(audit.c.detail))) == [{"텍스트": [1, None]}] * MANY


def test_an_error_names_no_value_that_was_written_into_its_statement(db: Database) -> None:
    column = outbox.c.dedupe
    wrong = is_among(column, ["somebody", "it's", "a\\'b"]) & text("no_such_column = 1")
    with pytest.raises(Exception) as failed:
        db.read(lambda tx: tx.all(select(column).where(wrong)))
    told = f"{failed.value} {failed.value.__cause__}"
    assert "no_such_column" in told
    assert not any(secret in told for secret in ("somebody", "it's", "it''s", "'b"))

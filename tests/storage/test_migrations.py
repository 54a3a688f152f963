"""The migrations make exactly the tables that the code knows, constraints included, on every kind of server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, UniqueConstraint, create_engine, inspect
from sqlalchemy.engine import Inspector

from shop.storage.database import Database
from shop.storage.migrate import MIGRATIONS, migrate
from shop.storage.schema import schema_is_current
from shop.storage.tables import metadata


def test_the_migrated_schema_has_the_tables_columns_types_and_indexes_of_the_code(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_the_migrated_schema_has_every_check_of_the_code(db: Database) -> None:
    found = {
        str(check["name"]): plain(str(check["sqltext"]))
        for table in metadata.tables
        for check in inspect(db.engine).get_check_constraints(table)
        if str(check["name"]).startswith("ck_")
    }
    known = {
        str(constraint.name): plain(str(constraint.sqltext))
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert found == known
    assert {"ck_stock_never_oversold", "ck_on_hand_never_negative", "ck_limit_per_buyer_positive"} <= set(
        known
    )


def plain(expression: str) -> str:
    """A condition without the ways in which servers like to write it."""
    return re.sub(r"[`()\s]", "", expression).lower()


def test_the_migrated_schema_has_every_unique_constraint_and_primary_key_of_the_code(db: Database) -> None:
    seen = inspect(db.engine)
    for name, table in metadata.tables.items():
        assert seen.get_pk_constraint(name)["constrained_columns"] == [
            column.name for column in table.primary_key
        ]
        known = {
            (str(constraint.name), tuple(column.name for column in constraint.columns))
            for constraint in table.constraints
            if isinstance(constraint, UniqueConstraint)
        }
        assert uniques(seen, name) == known, name


def uniques(seen: Inspector, table: str) -> set[tuple[str, tuple[str, ...]]]:
    return {
        (str(found["name"]), tuple(str(column) for column in found["column_names"]))
        for found in seen.get_unique_constraints(table)
    }


def test_ids_are_told_apart_by_case_and_texts_hold_korean(db: Database) -> None:
    if db.engine.dialect.name == "sqlite":
        return  # it knows nothing else
    seen = inspect(db.engine)
    for table in metadata.tables:
        options = seen.get_table_options(table)
        assert [str(options[f"mysql_{name}"]).lower() for name in ("engine", "default charset")] == [
            "innodb",
            "utf8mb4",
        ], (table, options)
    assert getattr(seen.get_columns("sales")[0]["type"], "collation", None) == "ascii_bin"


def test_a_migrated_database_is_current_and_an_empty_one_is_not(db: Database, tmp_path: Path) -> None:
    assert schema_is_current(db)
    empty = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    assert not schema_is_current(empty)
    empty.dispose()


def test_processes_that_migrate_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fresh.sqlite'}"
    work = f"from shop.storage.migrate import migrate; migrate({url!r})"
    started = [subprocess.Popen([sys.executable, "-W", "error", "-c", work]) for _ in range(2)]
    assert [process.wait(timeout=20) for process in started] == [0, 0]
    migrate(url)
    engine = create_engine(url)
    assert set(metadata.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_the_migrations_stand_in_the_package(tmp_path: Path) -> None:
    assert (MIGRATIONS / "env.py").is_file()
    numbers = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert numbers


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://x/y", "mssql://x"])
def test_a_database_that_is_not_supported_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="starts with mysql://"):
        Database(url)

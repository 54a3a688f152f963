"""Whether a database has the schema of this version. Reads what Alembic wrote and loads nothing of it: every process asks this."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text

from shop.storage.database import Database, Tx

VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest_revision() -> str:
    """The last of the migrations that came with this version: each file is named by its number, which is its revision, and its subject."""
    return max(path.stem.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


def schema_is_current(db: Database) -> bool:
    """Whether every migration of this version has run. Raises `Unavailable`."""
    return db.read(_revision) == newest_revision()


def _revision(tx: Tx) -> str | None:
    if not inspect(tx.connection).has_table("alembic_version"):
        return None
    revision: str | None = tx.connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision

"""Bringing a database to the present schema. Knows Alembic; the steps stand in `migrations/versions`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from shop.errors import Unavailable
from shop.storage.engine import command_sqlite, normal_url
from shop.storage.faults import Fault, fault_of

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_NAME = "firstcome_migrate"
LOCK_WAIT_S = 60


def migrate(url: str) -> None:
    """Run every migration that the database has not seen. Safe to call from several processes at once.

    Raises `Unavailable` when the database does not answer.
    """
    engine = create_engine(normal_url(url), hide_parameters=True)
    if engine.dialect.name == "sqlite":
        command_sqlite(engine)
    try:
        with engine.connect() as connection, _one_at_a_time(connection):
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except SQLAlchemyError as error:
        if fault_of(error) in (Fault.AWAY, Fault.CONTENDED):
            raise Unavailable("the database does not answer") from error
        raise
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _one_at_a_time(connection: Connection) -> Iterator[None]:
    if connection.dialect.name == "sqlite":
        connection.execute(text("SELECT 1"))  # BEGIN IMMEDIATE is the lock
        yield
        return
    name = {"name": LOCK_NAME, "wait": LOCK_WAIT_S}
    if connection.execute(text("SELECT GET_LOCK(:name, :wait)"), name).scalar() != 1:
        raise Unavailable("another process is still migrating the database")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": LOCK_NAME})

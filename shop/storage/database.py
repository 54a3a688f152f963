"""One transaction at a time: opening it, reading its `now`, retrying what is worth retrying, naming the rest.

`Database.run(work, …)` calls `work(tx, …)` inside one transaction and commits; `Database.read` does the same without taking a
write lock on SQLite. Work that loses against another transaction is rolled back whole and called again, so it must have no
effect outside its `Tx`. Knows SQLAlchemy and three dialects; nothing of the shop's tables.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    CursorResult,
    Engine,
    Executable,
    Row,
    Table,
    select,
    text,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from shop.errors import Unavailable
from shop.storage import bulk
from shop.storage.columns import server_now
from shop.storage.engine import BEGIN_OPTION, POOL_WAIT_S, engine_for
from shop.storage.faults import Fault, fault_of
from shop.storage.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 6
# From so many rows on it is worth to write an INSERT out instead of binding its values.
MANY_ROWS = 16
ANSWER_TIMEOUT_S = 20
# Seconds that a statement waits for a row lock (MySQL, MariaDB) or for the file's write lock (SQLite).
LOCK_WAIT_S = 5

NOW = server_now().label("server_now")
"""The column for `Tx.all_and_now`."""
_NOW = select(NOW)


class Contended(Unavailable):
    """Another transaction was in the way; everything was rolled back. `run` retries it, `run_once` shows it."""


class Tx:
    """An open transaction. Only `work` functions see one; it ends with them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now: datetime | None = None

    @property
    def connection(self) -> Connection:
        """The connection below, for migrations and dialect bodies in `shop.storage` only."""
        return self._connection

    @property
    def dialect(self) -> str:
        """`mysql` (MariaDB too) or `sqlite`."""
        name = self._connection.dialect.name
        return "mysql" if name == "mariadb" else name

    @property
    def now(self) -> datetime:
        """The database's time, read once: the same value for the whole transaction, aware, UTC, whole milliseconds."""
        if self._now is None:
            self._now = self._connection.execute(_NOW).scalar_one()
        return self._now

    def execute(self, statement: Executable, params: Any = None) -> CursorResult[Any]:
        """Run a statement; `rowcount` of the result counts the rows that matched."""
        return self._connection.execute(statement, params)

    def one(self, statement: Executable, params: Any = None) -> Row[Any]:
        """Exactly one row."""
        return self.execute(statement, params).one()

    def first(self, statement: Executable, params: Any = None) -> Row[Any] | None:
        """The first row, or None."""
        return self.execute(statement, params).first()

    def all(self, statement: Executable, params: Any = None) -> Sequence[Row[Any]]:
        """Every row."""
        return self.execute(statement, params).all()

    def all_and_now(self, statement: Executable, params: Any = None) -> Sequence[Row[Any]]:
        """Every row of a statement that selects `NOW` along: where `now` has not been read yet, this is it."""
        rows = self.all(statement, params)
        if self._now is None and rows:
            self._now = rows[0].server_now
        return rows

    def scalar(self, statement: Executable, params: Any = None) -> Any:
        """First column of the first row, or None."""
        return self.execute(statement, params).scalar()

    def scalars(self, statement: Executable, params: Any = None) -> Sequence[Any]:
        """First column of every row."""
        return self.execute(statement, params).scalars().all()

    def insert(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows of the same shape by multi-row statements; nothing for an empty list."""
        if len(rows) >= MANY_ROWS and self.dialect == "mysql" and bulk.can_write(table):
            self._write(table, rows)
        elif rows:
            self.execute(_insert(table), list(rows))

    def insert_missing(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert the rows whose key is not there yet and leave the others as they are."""
        if not rows:
            return
        if self.dialect == "sqlite":
            self.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))
            return
        # IGNORE would also swallow bad values; setting the key to itself swallows only the duplicate.
        if len(rows) >= MANY_ROWS and bulk.can_write(table):
            key = _first_key(table).name
            self._write(table, rows, f" ON DUPLICATE KEY UPDATE `{key}` = `{key}`")
            return
        self.execute(_insert_missing(table), list(rows))

    def _write(self, table: Table, rows: Sequence[dict[str, Any]], ending: str = "") -> None:
        for statement in bulk.insert_statements(table, rows):
            try:
                self._connection.exec_driver_sql(
                    statement + ending, execution_options={"no_parameters": True}
                )
            except DBAPIError as error:
                error.statement = f"INSERT INTO {table.name} …"  # its values belong into no log
                raise


# What is written out in a statement (see `is_among`) belongs into no log either.
_VALUES = re.compile(r"'(?:[^'\\]|\\.|'')*'")


# A statement object that is used again has its cache key made already, which else takes as long as sending it.
@cache
def _insert(table: Table) -> Executable:
    return table.insert()


@cache
def _insert_missing(table: Table) -> Executable:
    key = _first_key(table)
    return mysql.insert(table).on_duplicate_key_update({key.name: key})


def _first_key(table: Table) -> Column[Any]:
    return table.primary_key.columns.values()[0]


class Database:
    """The door to the shop's database; one per process, safe to use from several threads.

    `url` is `mysql://`, `mariadb://` or `sqlite:///path`. `wait_timeout_s`: the server ends this process's connections after
    so many idle seconds (workers set it, so that a stopped process cannot sit on its locks). `lock_wait_s`: how long a statement
    waits for a row lock, or a transaction for SQLite's one write lock. `answer_s`: how long a server may take for a statement,
    above `lock_wait_s`; whoever lets people wait wants it short. After a fork, open a new one.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        wait_timeout_s: int | None = None,
        lock_wait_s: int = LOCK_WAIT_S,
        answer_s: int = ANSWER_TIMEOUT_S,
    ) -> None:
        self._engine = engine_for(url, pool_size, wait_timeout_s, lock_wait_s, answer_s)
        self.turns = Turns(pool_size)
        self._lock_wait_s = lock_wait_s

    @property
    def engine(self) -> Engine:
        """For migrations and schema checks only."""
        return self._engine

    def run(self, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(tx, …)` in one transaction; retried with jitter while others are in the way, then `Unavailable`.

        A duplicate key counts as a lost race: the second time the work sees the winner's row. If it stays, the
        IntegrityError is raised.
        """
        return self._retry("BEGIN IMMEDIATE", work, *args, **kwargs)

    def read(self, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for work that only reads: on SQLite it waits for no writer."""
        return self._retry("BEGIN", work, *args, **kwargs)

    def snapshot(self, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, and all of its statements see the database as it was at the first one."""
        with self._transaction("BEGIN", isolation_level="REPEATABLE READ") as tx:
            return work(tx, *args, **kwargs)

    def run_once(self, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run` without a second attempt: raises `Contended` when another transaction was in the way."""
        with self._transaction("BEGIN IMMEDIATE") as tx:
            return work(tx, *args, **kwargs)

    def check(self) -> None:
        """Ask the database for a sign of life; `Unavailable` if there is none."""
        self.read(lambda tx: tx.scalar(text("SELECT 1")))

    def dispose(self) -> None:
        """Close all pooled connections."""
        self._engine.dispose()

    def _retry(
        self, begin: str, work: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        give_up = time.monotonic() + self._lock_wait_s
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._transaction(begin) as tx:
                    return work(tx, *args, **kwargs)
            except Contended:
                if attempt == ATTEMPTS or time.monotonic() > give_up:
                    raise
            except DBAPIError as error:
                if fault_of(error) is not Fault.DUPLICATE or attempt >= 3:
                    raise
            time.sleep(random.uniform(0.2, 1.0) * 0.01 * 2**attempt)
        raise AssertionError("unreachable")

    @contextmanager
    def _transaction(self, begin: str, *, isolation_level: str | None = None) -> Iterator[Tx]:
        options: dict[str, Any] = {BEGIN_OPTION: begin}
        if isolation_level is not None and self._engine.dialect.name != "sqlite":  # there it is always so
            options["isolation_level"] = isolation_level
        if not self.turns.enter(POOL_WAIT_S):
            raise Unavailable("the database does not answer")
        try:
            with self._engine.connect() as connection:
                connection = connection.execution_options(**options)
                with connection.begin():
                    yield Tx(connection)
        except SQLAlchemyError as error:
            if isinstance(error, StatementError) and error.statement is not None:
                error.statement = _VALUES.sub("…", error.statement)
            match fault_of(error):
                case Fault.CONTENDED:
                    raise Contended("the database is busy", retry_after_s=1) from error
                case Fault.AWAY:
                    raise Unavailable("the database does not answer") from error
                case Fault.SCHEMA:  # what waits for a decision must wait, not be blamed for it
                    raise Unavailable("the database has another schema than this version") from error
                case _:
                    raise
        finally:
            self.turns.leave()

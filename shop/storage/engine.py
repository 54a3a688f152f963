"""Engines: which driver a URL means, how long its server may take, and how sessions begin on MySQL, MariaDB and SQLite."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL

# Seconds to wait for a connection of the pool.
POOL_WAIT_S = 3.0
# How long a server may take to take a connection, to greet on it, and to show that an idle one still lives.
GREETING_TIMEOUT_S = 2
# The option of a connection to SQLite that says by which statement its transaction begins.
BEGIN_OPTION = "firstcome_begin"


def normal_url(url: str) -> URL:
    """The URL with the driver that this product uses; ValueError when no such database is supported."""
    parsed = make_url(url)
    family = parsed.get_backend_name()
    if family in ("mysql", "mariadb"):
        return parsed.set(drivername=f"{family}+pymysql").update_query_dict({"charset": "utf8mb4"})
    if family == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite")
    raise ValueError("a database URL starts with mysql://, mariadb:// or sqlite:/// followed by a file name")


def engine_for(
    url: str, pool_size: int, wait_timeout_s: int | None, lock_wait_s: int, answer_s: int
) -> Engine:
    """An engine whose connections wait as long as `Database` says, and whose sessions are strict about values."""
    parsed = normal_url(url)
    # `pool_pre_ping` lets the pool outlive a restarted server and connections that `wait_timeout` has ended.
    pool: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_WAIT_S,
        "hide_parameters": True,
    }
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed, connect_args={"timeout": lock_wait_s, "check_same_thread": False}, **pool
        )
        command_sqlite(engine)
        return engine
    session = [
        "sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        f"innodb_lock_wait_timeout = {lock_wait_s}",
    ]
    if wait_timeout_s is not None:
        session.append(f"wait_timeout = {int(wait_timeout_s)}")
    connect: dict[str, Any] = {
        "connect_timeout": GREETING_TIMEOUT_S,
        "read_timeout": GREETING_TIMEOUT_S,
        "write_timeout": answer_s,
        "init_command": "SET " + ", ".join(f"SESSION {setting}" for setting in session),
    }
    if "unix_socket" in parsed.query and not any(name.startswith("ssl") for name in parsed.query):
        # The driver reads all of the machine's certificates for every connection, 27 ms that each visit to a lane would wait.
        connect["ssl_disabled"] = True
    engine = create_engine(
        parsed, isolation_level="READ COMMITTED", pool_pre_ping=True, connect_args=connect, **pool
    )
    _await_statements(engine, answer_s)
    return engine


def _await_statements(engine: Engine, answer_s: int) -> None:
    """Be patient with a connection only while it is in use.

    The driver knows one limit for greetings, pings and statements alike. A server that hangs would hold up everybody for the
    longest of them, once for the ping of the pooled connection and once for the greeting on its replacement.
    """

    def in_use(connection: Any, _record: Any, _proxy: Any) -> None:
        connection._read_timeout = answer_s

    def idle(connection: Any, _record: Any) -> None:
        if connection is not None:  # None: it was found broken
            connection._read_timeout = GREETING_TIMEOUT_S

    event.listen(engine, "checkout", in_use)
    event.listen(engine, "checkin", idle)


def command_sqlite(engine: Engine) -> None:
    """Take over from the driver when and how transactions begin on an engine for SQLite."""
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `_begin_sqlite` says which kind it shall be.
    connection.isolation_level = None
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = FULL").close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(BEGIN_OPTION, "BEGIN IMMEDIATE"))

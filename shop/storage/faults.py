"""What a database error means for the one who asked: try again, ask later, or a broken rule of the schema.

Knows the error numbers of MySQL, MariaDB and SQLite, so that nobody else has to. Nothing of the shop.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_CONTENDED = frozenset({1205, 1213, 1020, 3572})  # lock wait timeout, deadlock, record changed, NOWAIT
_DUPLICATE = frozenset({1062, 1586})
_CHECK = frozenset({3819, 4025})  # MySQL, MariaDB
_SCHEMA = frozenset({1054, 1146})  # unknown column, no such table
_SQLITE_SCHEMA = ("no such table", "no such column", "has no column named")
_SQLITE_CONTENDED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_DUPLICATE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_SQLITE_AWAY = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOTADB,
    }
)
# Refused or lost connections, a server that is full, read-only after a failover, or shutting down.
_AWAY = frozenset(
    {
        1021,
        1040,
        1041,
        1044,
        1045,
        1049,
        1053,
        1077,
        1114,
        1129,
        1130,
        1152,
        1158,
        1159,
        1160,
        1161,
        1203,
        1226,
        1290,
    }
    | {1836, 1927, 2002, 2003, 2005, 2006, 2013, 2014, 2045, 2055, 3169, 4031}
)


class Fault(StrEnum):
    """The kinds of database errors that callers treat differently."""

    CONTENDED = "contended"  # another transaction was in the way; the same work may succeed at once
    DUPLICATE = "duplicate"  # a UNIQUE constraint
    CHECK = "check"  # a CHECK constraint, that is, one of the laws
    AWAY = "away"  # no database that can serve us
    SCHEMA = "schema"  # a database that has not been migrated to this version
    OTHER = "other"  # a mistake of ours


def errno(error: BaseException) -> int | None:
    """The server's error number (MySQL, MariaDB) or the extended result code (SQLite), if there is one."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", None)
    if cause.args and isinstance(cause.args[0], int):
        return cause.args[0]
    return None


def fault_of(error: BaseException) -> Fault:
    """Classify an error that came out of SQLAlchemy."""
    if isinstance(error, PoolTimeout):
        return Fault.AWAY
    if not isinstance(error, DBAPIError):
        return Fault.OTHER
    if error.connection_invalidated:
        return Fault.AWAY
    number = errno(error)
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_fault(number, str(error.orig))
    if number in _CONTENDED:
        return Fault.CONTENDED
    if number in _DUPLICATE:
        return Fault.DUPLICATE
    if number in _CHECK:
        return Fault.CHECK
    if number in _SCHEMA:
        return Fault.SCHEMA
    # PyMySQL raises InterfaceError(0, '') on a connection it has closed itself.
    return Fault.AWAY if number in _AWAY or number == 0 else Fault.OTHER


def _sqlite_fault(code: int | None, message: str) -> Fault:
    if code is None:
        return Fault.OTHER
    if code == sqlite3.SQLITE_ERROR and any(words in message for words in _SQLITE_SCHEMA):
        return Fault.SCHEMA
    if code & 0xFF in _SQLITE_CONTENDED:
        return Fault.CONTENDED
    if code in _SQLITE_DUPLICATE:
        return Fault.DUPLICATE
    if code == sqlite3.SQLITE_CONSTRAINT_CHECK:
        return Fault.CHECK
    return Fault.AWAY if code & 0xFF in _SQLITE_AWAY else Fault.OTHER


def is_duplicate(error: BaseException) -> bool:
    """A UNIQUE constraint refused the row."""
    return isinstance(error, IntegrityError) and fault_of(error) is Fault.DUPLICATE


def is_check_violation(error: BaseException) -> bool:
    """A CHECK constraint refused the row (SQLAlchemy's class differs between the servers)."""
    return isinstance(error, IntegrityError | OperationalError) and fault_of(error) is Fault.CHECK

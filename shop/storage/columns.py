"""Column types that behave the same on MySQL, MariaDB and SQLite.

Knows SQLAlchemy and nothing of the shop.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Dialect, Integer, LargeBinary, String, bindparam
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_millis(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def from_millis(millis: int) -> datetime:
    """The aware UTC datetime of unix milliseconds."""
    return EPOCH + timedelta(milliseconds=millis)


class Instant(TypeDecorator[datetime]):
    """A moment in time: aware UTC datetime in Python, unix milliseconds (BIGINT) in the database.

    An integer has no time zone to lose and compares alike on every server.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Any) -> int | None:
        return None if value is None else to_millis(value)

    def process_result_value(self, value: int | None, _dialect: Any) -> datetime | None:
        return None if value is None else from_millis(value)


class server_now(FunctionElement[datetime]):
    """The database's time at the beginning of the statement, in whole milliseconds."""

    name = "server_now"
    type = Instant()
    inherit_cache = True


@compiles(server_now, "mysql")
@compiles(server_now, "mariadb")
def _mysql_now(*_: Any, **_options: Any) -> str:
    return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"


@compiles(server_now, "sqlite")
def _sqlite_now(*_: Any, **_options: Any) -> str:
    return "strftime('%s', 'now') * 1000 + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER)"


class Id(TypeDecorator[str]):
    """An ASCII identifier compared byte by byte (MySQL's default collation would ignore case).

    Text from outside that is not ASCII is looked up escaped and so finds nothing; MySQL would refuse the whole statement.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int = 32) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.VARCHAR(self.length, charset="ascii", collation="ascii_bin"))
        return dialect.type_descriptor(String(self.length))

    def process_bind_param(self, value: str | None, _dialect: Any) -> str | None:
        return None if value is None else value.encode("ascii", "backslashreplace").decode("ascii")


class _Ids(UserDefinedType[Collection[str]]):
    """Many ids in brackets, written into the statement."""

    cache_ok = True

    def literal_processor(self, dialect: Dialect) -> Callable[[Collection[str]], str]:
        # Backslashes are the dialect's own business.
        percent = "%%" if dialect.paramstyle in ("format", "pyformat") else "%"

        def write(ids: Collection[str]) -> str:
            texts = "', '".join([one.replace("'", "''") for one in ids])
            ascii_only = texts.encode("ascii", "backslashreplace").decode("ascii")
            return f"('{ascii_only.replace('%', percent)}')" if ids else "(NULL)"

        return write


def is_among(column: Column[str], ids: Collection[str]) -> ColumnElement[bool]:
    """Whether an `Id` column holds one of these; for hundreds of ids.

    Binding and quoting them one by one would take longer than the server needs to find them.
    """
    return column.bool_op("IN")(bindparam(None, ids, _Ids(), literal_execute=True))


def Sealed(length: int) -> LargeBinary:
    """An encrypted personal field (see `shop.vault`), as stored bytes."""
    return LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


# SQLite only counts INTEGER primary keys up by itself.
Counter = BigInteger().with_variant(Integer, "sqlite")

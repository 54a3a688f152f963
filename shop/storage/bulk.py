"""Many rows in one INSERT for MySQL and MariaDB, written out as text.

SQLAlchemy and the driver bind and quote values one by one, which takes longer than the server needs to store the row; a batch of
orders has five rows an order. Written out here, column by column, a row costs a tenth of that. Values are quoted by the driver's
own rule, for connections that speak utf8mb4 without NO_BACKSLASH_ESCAPES, as ours do. Knows column types, not tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from operator import is_, itemgetter
from typing import Any

from pymysql.converters import escape_string
from sqlalchemy import Boolean, Column, Integer, LargeBinary, String, Table
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlalchemy.types import TypeEngine

from shop.storage.columns import Id, Instant, to_millis

Writer = Callable[[Any], str]

# Below the smallest packet that a server takes by default, also with rows of some kilobytes.
ROWS_A_STATEMENT = 500
# What `escape_string` would change; all else stands for itself between quotes.
_SPECIAL = re.compile("[\\x00\\n\\r\\x1a\"'\\\\]").search
_PLAIN = re.compile("[A-Za-z0-9_.:-]*").fullmatch  # as nearly all ids are


def can_write(table: Table) -> bool:
    """Whether all of the table's columns are of kinds that can be written out here."""
    return all(_is_known(column.type) for column in table.columns)


def insert_statements(table: Table, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The INSERTs for rows of the same shape; a column that they leave out gets its default.

    Raises TypeError, ValueError or AttributeError for a value that is not of its column's kind.
    """
    columns: list[tuple[str, Writer]] = []
    defaults: dict[str, Any] = {}
    for column in table.columns:
        if column.name not in rows[0]:
            if not isinstance(column.default, ScalarElementColumnDefault):
                continue
            defaults[column.name] = column.default.arg
        columns.append((column.name, _writer(column)))
    names = ", ".join(f"`{name}`" for name, _ in columns)
    whole = [{**defaults, **row} for row in rows] if defaults else rows
    values = zip(*map(itemgetter(*(name for name, _ in columns)), whole), strict=True)
    cells = [_texts(write, column) for (_, write), column in zip(columns, values, strict=True)]
    texts = [f"({','.join(row)})" for row in zip(*cells, strict=True)]
    for first in range(0, len(texts), ROWS_A_STATEMENT):
        yield f"INSERT INTO `{table.name}` ({names}) VALUES " + ",".join(
            texts[first : first + ROWS_A_STATEMENT]
        )


def _texts(write: Writer, values: Sequence[Any]) -> Iterable[str]:
    """A column's values, written out. In most columns of a batch all values are the same one."""
    one = values[0]
    if all(map(is_, values, repeat(one))):
        return repeat("NULL" if one is None else write(one), len(values))
    return ["NULL" if value is None else write(value) for value in values]


def _is_known(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, Id | Instant | LargeBinary | Integer | Boolean | String)


def _writer(column: Column[Any]) -> Writer:
    match column.type:
        case Id():
            write: Writer = _write_id
        case Instant():
            write = _remembering(_write_moment)
        case LargeBinary():
            write = _write_bytes
        case Integer() | Boolean():
            write = _write_number
        case _:
            write = _remembering(_write_text)
    return write


def _remembering(write: Writer) -> Writer:
    """The same few moments, states and titles come again in every row."""
    known: dict[Any, str] = {}

    def remember(value: Any) -> str:
        text = known.get(value)
        if text is None:
            text = known[value] = write(value)
        return text

    return remember


def _write_text(value: str) -> str:
    return f"'{escape_string(value)}'" if _SPECIAL(value) else f"'{value}'"


def _write_id(value: str) -> str:
    if _PLAIN(value):
        return f"'{value}'"
    return _write_text(value if value.isascii() else value.encode("ascii", "backslashreplace").decode())


def _write_moment(value: datetime) -> str:
    return str(to_millis(value))


def _write_bytes(value: bytes) -> str:
    return f"x'{value.hex()}'"


def _write_number(value: int) -> str:
    return format(value, "d")

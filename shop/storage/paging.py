"""Lists in pages, newest first, continued by an opaque cursor: the (moment, id) of the last row that was shown.

A cursor names a place, not a number of rows, so that rows that come in meanwhile neither repeat nor hide one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, and_, or_

from shop.errors import FieldFault, InvalidFields
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Tx

T = TypeVar("T")

LONGEST_PAGE = 200
_LATEST_MS = 253_402_300_799_999  # the last moment that a datetime can hold


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and where the next ones begin (None at the end)."""

    items: list[T]
    next_cursor: str | None


def read_page(
    tx: Tx,
    query: Select[Any],
    key: tuple[ColumnElement[Any], ColumnElement[Any]],
    cursor: str | None,
    limit: int,
    make: Callable[[Sequence[Row[Any]]], list[T]],
) -> Page[T]:
    """The rows after `cursor`, descending by `key` = (an `Instant` column, a unique text column).

    `make` turns the rows of one page into items. Raises `InvalidFields` for a cursor that is none of ours.
    """
    moment, name = key
    limit = max(1, min(limit, LONGEST_PAGE))
    if cursor is not None:
        at, last = _read_cursor(cursor)
        query = query.where(or_(moment < at, and_(moment == at, name < last)))
    rows = tx.all(query.order_by(moment.desc(), name.desc()).limit(limit + 1))
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(make(shown), _cursor(shown[-1], key) if more else None)


def _cursor(row: Row[Any], key: tuple[ColumnElement[Any], ColumnElement[Any]]) -> str:
    moment, name = (row._mapping[column] for column in key)
    return base64.urlsafe_b64encode(f"{to_millis(moment)}~{name}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[Any, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        millis, _, name = text.partition("~")
        if not name or not 0 <= int(millis) <= _LATEST_MS:
            raise ValueError
        return from_millis(int(millis)), name
    except (ValueError, binascii.Error) as error:
        raise InvalidFields([FieldFault("cursor", "must be a next_cursor of this list")]) from error

"""What the line of a sale needs of the database: blocks of numbers, and a lasting copy of its call log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from shop.sales.rules import UnknownSale
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import call_log, sales

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class CallRow:
    """One event of the call log. `entry_id` is unique in the sale: store id and the stream's own entry id."""

    entry_id: str
    event: str
    ticket_id: str
    at: datetime
    number: int | None = None
    turn: int | None = None
    detail: str | None = None


def next_block(db: Database, sale_id: str, size: int) -> tuple[int, int]:
    """Take the next `size` numbers of a sale: (first, last). No number is ever given twice. Raises `UnknownSale`."""
    return db.run(_next_block, sale_id, size)


def copy_calls(db: Database, sale_id: str, rows: Sequence[CallRow]) -> None:
    """Keep events of the call log; those that are there already stay as they are."""
    copies: list[dict[str, Any]] = [{"sale_id": sale_id, **asdict(row)} for row in rows]
    db.run(lambda tx: tx.insert_missing(call_log, copies))


def _next_block(tx: Tx, sale_id: str, size: int) -> tuple[int, int]:
    mine = sales.c.sale_id == sale_id
    if tx.execute(update(sales).where(mine).values(next_number=sales.c.next_number + size)).rowcount != 1:
        raise UnknownSale("there is no such sale")
    after: int = tx.scalar(select(sales.c.next_number).where(mine))
    return after - size, after - 1


def calls_by_minute(tx: Tx, sale_id: str, minutes: int) -> list[tuple[datetime, int]]:
    """Calls in each of the last `minutes` whole and running minutes, oldest first, quiet ones included."""
    this_minute = to_millis(tx.now) // MINUTE_MS
    first = this_minute - minutes + 1
    since = from_millis(first * MINUTE_MS)
    mine = (call_log.c.sale_id == sale_id) & (call_log.c.event == "call") & (call_log.c.at >= since)
    counted: dict[int, int] = {}
    for row in tx.all(select(call_log.c.at, func.count().label("calls")).where(mine).group_by(call_log.c.at)):
        minute = to_millis(row.at) // MINUTE_MS
        counted[minute] = counted.get(minute, 0) + int(row.calls)
    start = from_millis(first * MINUTE_MS)
    return [(start + timedelta(minutes=n), counted.get(first + n, 0)) for n in range(minutes)]

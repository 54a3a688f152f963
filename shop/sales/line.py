"""What the line of a sale needs of the database: blocks of numbers, when they were given, and a lasting copy of its call log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import func, select, update

from shop.orders.rules import OUTCOMES, OrderOutcome, OrderState
from shop.sales.rules import UnknownSale
from shop.sales.turns import CallRow
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import call_log, number_marks, orders, sales

MINUTE_MS = 60_000
# One row of the log is no event: it says until when the others are complete. Its id sorts behind all of them.
WHOLE_UNTIL = "~whole"


@dataclass(frozen=True, slots=True)
class OrderStanding:
    """What an order means to the slot of its pass: it still needs it, it was paid, or it ended without a purchase."""

    order_id: str
    jti: str
    standing: Literal["live", "paid", "ended"]


def next_block(db: Database, sale_id: str, size: int) -> tuple[int, int]:
    """Take the next `size` numbers of a sale: (first, last). No number is ever given twice. Raises `UnknownSale`."""
    return db.run(_next_block, sale_id, size)


def copy_calls(db: Database, sale_id: str, rows: Sequence[CallRow]) -> None:
    """Keep events of the call log; those that are there already stay as they are."""
    copies: list[dict[str, Any]] = [{"sale_id": sale_id, **asdict(row)} for row in rows]
    db.run(lambda tx: tx.insert_missing(call_log, copies))


def note_copied(db: Database, sale_id: str, at: datetime) -> None:
    """Keep that the log is complete up to this moment. It never goes back."""
    db.run(_note_copied, sale_id, at)


def note_numbers(db: Database, sale_id: str, given: int, at: datetime) -> None:
    """Keep that the line had given numbers up to `given` by then; what was noted of a number first stays."""
    row = {"sale_id": sale_id, "number": given, "at": at}
    db.run(lambda tx: tx.insert_missing(number_marks, [row]))


def numbers_noted(tx: Tx, sale_id: str) -> list[tuple[int, int]]:
    """What was noted of given numbers: (highest number, unix ms), ascending."""
    mine = select(number_marks).where(number_marks.c.sale_id == sale_id).order_by(number_marks.c.number)
    return [(int(row.number), to_millis(row.at)) for row in tx.all(mine)]


def whole_until(db: Database, sale_id: str) -> datetime | None:
    """Until when the log is complete, None before anything was copied."""
    return db.read(_whole_until, sale_id)


def calls_after(db: Database, sale_id: str, entry_id: str, count: int) -> list[CallRow]:
    """Up to `count` events after this one, in the order of the log; "" for the first."""
    after = (call_log.c.entry_id > entry_id) & (call_log.c.entry_id < WHOLE_UNTIL)
    query = select(call_log).where(call_log.c.sale_id == sale_id, after).order_by(call_log.c.entry_id)
    rows = db.read(lambda tx: tx.all(query.limit(count)))
    return [
        CallRow(row.entry_id, row.event, row.ticket_id, row.at, row.number, row.turn, row.detail)
        for row in rows
    ]


def orders_after(db: Database, sale_id: str, order_id: str, count: int) -> list[OrderStanding]:
    """Up to `count` orders of the sale that have their pass, after this one by id; "" for the first."""
    columns = (orders.c.order_id, orders.c.pass_jti, orders.c.state)
    mine = (orders.c.sale_id == sale_id) & (orders.c.order_id > order_id) & orders.c.pass_claim.is_not(None)
    query = select(*columns).where(mine).order_by(orders.c.order_id).limit(count)
    rows = db.read(lambda tx: tx.all(query))
    return [OrderStanding(row.order_id, row.pass_jti, _standing(row.state)) for row in rows]


def _standing(state: str) -> Literal["live", "paid", "ended"]:
    outcome = OUTCOMES.get(OrderState(state))
    if outcome is None:
        return "live"
    return "paid" if outcome is OrderOutcome.PAID else "ended"


def _note_copied(tx: Tx, sale_id: str, at: datetime) -> None:
    note = {"sale_id": sale_id, "entry_id": WHOLE_UNTIL, "event": "whole", "ticket_id": "", "at": at}
    mine = (call_log.c.sale_id == sale_id) & (call_log.c.entry_id == WHOLE_UNTIL)
    if tx.scalar(select(call_log.c.at).where(mine)) is None:
        tx.insert_missing(call_log, [note])
    tx.execute(update(call_log).where(mine, call_log.c.at < at).values(at=at))


def _whole_until(tx: Tx, sale_id: str) -> datetime | None:
    mine = (call_log.c.sale_id == sale_id) & (call_log.c.entry_id == WHOLE_UNTIL)
    until: datetime | None = tx.scalar(select(call_log.c.at).where(mine))
    return until


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

"""How long those had waited who were called lately, for whoever watches a sale: a bounded look at the end of the call log."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import select

from shop.sales.reading import Sale
from shop.sales.turns import Numbers, Waits, waits_of
from shop.storage.columns import to_millis
from shop.storage.database import Tx
from shop.storage.tables import call_log, number_marks

RECENT_CALLS = 200
# A number is noted about once a second while people join: those between two calls of the recent ones are few.
MOST_MARKS = 4_000


def beginning_of(sale: Sale) -> tuple[datetime, int]:
    """From when waiting counts, and how many numbers a draw gave at that moment."""
    draw = sale.draw
    opened = draw.opened_at if draw is not None and draw.opened_at is not None else sale.opens_at
    return opened, (draw.size or 0) if draw is not None else 0


def recent_waits(tx: Tx, sale: Sale) -> Waits:
    """The waits of the last 200 buyers who were called for the first time."""
    first_turns = (call_log.c.sale_id == sale.sale_id) & (call_log.c.event == "call") & (call_log.c.turn == 1)
    query = select(call_log.c.number, call_log.c.at).where(first_turns)
    called = [
        (int(row.number), to_millis(row.at))
        for row in tx.all(query.order_by(call_log.c.at.desc()).limit(RECENT_CALLS))
    ]
    opened, lobby = beginning_of(sale)
    numbers = Numbers(
        _marks(tx, sale.sale_id, [number - lobby for number, _ in called]), to_millis(opened), lobby
    )
    waited: Counter[int] = Counter()
    for number, at_ms in called:
        since_ms = numbers.waiting_since_ms(number)
        if since_ms is not None:
            waited[max(0, at_ms - since_ms) // 1000] += 1
    return waits_of(waited)


def _marks(tx: Tx, sale_id: str, numbers: list[int]) -> list[tuple[int, int]]:
    """The marks from which these numbers can be dated."""
    arrived = [number for number in numbers if number > 0]
    if not arrived:
        return []
    mine = (number_marks.c.sale_id == sale_id) & (number_marks.c.number >= min(arrived))
    rows = tx.all(select(number_marks).where(mine).order_by(number_marks.c.number).limit(MOST_MARKS))
    marks, highest = [], max(arrived)
    for row in rows:
        marks.append((int(row.number), to_millis(row.at)))
        if row.number >= highest:
            break
    return marks

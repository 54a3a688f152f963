"""The waits that an operator sees are those of the report, of the last called ones alone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from shop.sales.fairness import fairness
from shop.sales.line import copy_calls, note_numbers
from shop.sales.reading import read_sale
from shop.sales.turns import CallRow, Waits
from shop.sales.waits import RECENT_CALLS, recent_waits
from shop.storage.database import Database
from tests.till import SALE, Till


def call(number: int, at: datetime, turn: int = 1) -> CallRow:
    return CallRow(f"{number:06}-{turn}.store", "call", f"ticket{number}", at, number, turn)


@pytest.mark.parametrize("called", [0, 1, 90, 450])
def test_recent_waits_are_those_of_the_report_over_the_last_calls(db: Database, called: int) -> None:
    Till(db).open()
    sale = read_sale(db, "demo")
    opened = sale.opens_at
    for given in range(10, called + 10, 10):  # ten numbers a second
        note_numbers(db, SALE, given, opened + timedelta(seconds=given // 10))
    # Ever later than they came, so that the last ones waited longest.
    rows = [call(number, opened + timedelta(seconds=number // 2 + 60)) for number in range(1, called + 1)]
    copy_calls(db, SALE, rows)
    # A second turn of somebody who came first says nothing about how long one waits.
    later = opened + timedelta(hours=1)
    back = CallRow("000001-1r.store", "return", "ticket1", later, 1, 1)
    copy_calls(db, SALE, [back, call(1, later, turn=2)] if called else [])
    seen = db.read(recent_waits, sale)
    if called <= RECENT_CALLS:
        assert seen == fairness(db, "demo").waits
    waited = sorted(number // 2 + 60 - -(-number // 10) for number in range(1, called + 1))[-RECENT_CALLS:]
    nearest = [waited[-(-len(waited) * share // 100) - 1] if waited else None for share in (50, 90, 99, 100)]
    assert seen == Waits(*nearest)

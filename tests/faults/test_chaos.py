"""The quick faults of `make chaos`, one after the other while one crowd buys: nothing lost, nothing doubled, nobody overtaken.

Then the books of that round are put wrong in one place after the other: whatever a fault could do to them has to be seen.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Table, select, text

from shop.orders.rules import OrderState
from shop.storage.database import Tx
from shop.storage.tables import orders, payments, reservations, stock_ledger
from tests.faults.chaos import FAULTS
from tests.faults.crowd import PROMPT, Size
from tests.faults.report import line
from tests.faults.rounds import Round, play
from tests.faults.stage import Stage, stage
from tests.faults.verdict import Verdict, judge

QUICK = [fault for fault in FAULTS.values() if fault.quick]


@pytest.fixture(scope="module")
def set_up() -> Iterator[Stage]:
    with stage() as running:
        yield running


@pytest.fixture(scope="module")
def played(set_up: Stage) -> Round:
    return play(set_up, QUICK, Size(120, 3, PROMPT), seed="the quick ones")


@pytest.mark.timeout(600)  # with its fixtures: servers, the whole product, and a crowd
def test_a_sale_outlives_every_quick_fault(played: Round) -> None:
    print(line(played))
    assert played.verdict.good, line(played)
    assert played.verdict.accepted >= 80
    assert not played.missed, line(played)


# ---------------------------------------------------------------- books that are wrong

Seen = Callable[[Verdict], object]


def says(words: str) -> Seen:
    """These words stand among what is wrong."""
    return lambda verdict: any(words in fault for fault in verdict.faults)


@pytest.mark.parametrize(
    ("table", "statement", "seen"),
    [
        pytest.param(
            stock_ledger,
            "DELETE FROM stock_ledger WHERE order_id = :order AND delta_sold > 0",
            says("reconcile:"),
            id="a row of the ledger is gone",
        ),
        pytest.param(
            reservations,
            "UPDATE reservations SET quantity = 2 WHERE order_id = :order",
            says("reconcile:"),
            id="one order took two units",
        ),
        pytest.param(
            payments,
            "UPDATE payments SET captured = 2 * captured WHERE order_id = :order AND captured > 0",
            says("the shop has"),
            id="a callback counted twice",
        ),
        pytest.param(
            orders,
            "UPDATE orders SET state = 'cancelled' WHERE order_id = :order",
            says("the buyer was told paid, the books say cancelled"),
            id="a paid order has ended",
        ),
        pytest.param(
            orders,
            "UPDATE orders SET seq = NULL WHERE order_id = :order",
            lambda verdict: verdict.lost == 1,
            id="an order was never decided",
        ),
        pytest.param(
            orders,
            "UPDATE orders SET seq = seq + 1000 WHERE order_id = :order",
            lambda verdict: verdict.inversions > 1,
            id="the first order was decided last",
        ),
        pytest.param(
            stock_ledger,
            "INSERT INTO stock_ledger (sale_item_id, order_id, delta_allotted, delta_held, delta_sold, reason, actor, at)"
            " SELECT sale_item_id, order_id, 0, delta_held, 0, reason, actor, at FROM stock_ledger"
            " WHERE order_id = :order AND delta_held > 0",
            lambda verdict: verdict.doubled == 1,
            id="an order was decided twice",
        ),
    ],
)
def test_a_row_that_is_wrong_is_seen(
    set_up: Stage, played: Round, table: Table, statement: str, seen: Seen
) -> None:
    first = set_up.db.read(_first_paid, played.lanes[0].sale_id)
    with _changed(set_up, table, statement, first):
        wrong = judge(set_up, played.lanes, played.crowd, log_lost=True)
    assert seen(wrong), wrong
    assert not wrong.good


@pytest.mark.parametrize("column", ["captured", "refunded"])
def test_money_that_moved_twice_at_the_provider_is_seen(set_up: Stage, played: Round, column: str) -> None:
    first = set_up.db.read(_first_paid, played.lanes[0].sale_id)
    wanted = select(payments.c.payment_id, payments.c.amount).where(
        payments.c.order_id == first, payments.c.captured > 0
    )
    paid = set_up.db.read(lambda tx: tx.one(wanted))
    with contextlib.closing(sqlite3.connect(set_up.provider_books, isolation_level=None)) as books:
        moved = f"UPDATE payments SET {column} = {column} + ? WHERE reference = ?"
        assert books.execute(moved, (paid.amount, paid.payment_id)).rowcount == 1
        wrong = judge(set_up, played.lanes, played.crowd, log_lost=True)
        books.execute(moved, (-paid.amount, paid.payment_id))
    assert says(f"payment {paid.payment_id}: the shop has")(wrong), wrong
    assert says(f"order {first}: the provider keeps")(wrong), wrong


def test_what_was_put_wrong_is_right_again(set_up: Stage, played: Round) -> None:
    """Else the tests before this one would prove nothing: each of them saw its own fault and no other."""
    assert judge(set_up, played.lanes, played.crowd, log_lost=True).good


def _first_paid(tx: Tx, sale_id: str) -> str:
    mine = (orders.c.sale_id == sale_id) & (orders.c.state == OrderState.PAID)
    return str(tx.scalar(select(orders.c.order_id).where(mine).order_by(orders.c.seq)))


@contextlib.contextmanager
def _changed(at: Stage, table: Table, statement: str, order_id: str) -> Iterator[None]:
    """The rows of `table` are as `statement` makes them while the body runs, and then as before."""
    keys = [column.name for column in table.primary_key.columns]

    def rows(tx: Tx) -> dict[tuple[Any, ...], dict[str, Any]]:
        found = [dict(row._mapping) for row in tx.all(table.select())]
        return {tuple(row[key] for key in keys): row for row in found}

    def change(tx: Tx) -> tuple[list[tuple[Any, ...]], list[dict[str, Any]]]:
        before = rows(tx)
        assert tx.execute(text(statement), {"order": order_id}).rowcount > 0
        after = rows(tx)
        made = [key for key, row in after.items() if before.get(key) != row]
        return made, [row for key, row in before.items() if after.get(key) != row]

    def change_back(tx: Tx) -> None:
        for key in made:
            tx.execute(
                table.delete().where(*(table.c[name] == value for name, value in zip(keys, key, strict=True)))
            )
        tx.insert(table, lost)

    made, lost = at.db.run(change)
    try:
        yield
    finally:
        at.db.run(change_back)

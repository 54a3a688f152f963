"""What may be said after a round: every accepted order decided once and in order, money and stock agree, the books add up.

Three books are compared: what the clients saw, what the shop's database says, and what the payment provider has done by its own
file. Nothing here believes a counter that it can count itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, select

from firstcome import reconciling
from load.books import read_books
from shop.mail.outbox import KIND as MAIL
from shop.orders.rules import OrderState
from shop.payments.rules import PaymentState
from shop.storage.database import Tx
from shop.storage.tables import orders, outbox, payments, stock_ledger
from tests.faults.buyers import WITHIN_S
from tests.faults.crowd import Crowd, Lane
from tests.faults.journal import Seen, overtaken
from tests.faults.stage import Stage
from tests.running import eventually
from waiting_room.keys import SaleKeys


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures of one round, and one sentence for everything that is wrong."""

    accepted: int
    lost: int
    doubled: int
    inversions: int
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every law held."""
        return not (self.lost or self.doubled or self.inversions or self.faults)


def judge(stage: Stage, lanes: Sequence[Lane], crowd: Crowd, *, log_lost: bool) -> Verdict:
    """Wait until money has come to rest, then compare all books. `log_lost`: the call log may lack its last second."""
    faults = crowd.faults()
    with _noting(faults):
        eventually(lambda: _at_rest(stage, lanes), "money and lanes came to rest", WITHIN_S)
    seen = crowd.journal.orders
    rows = stage.db.read(_orders_of, lanes)
    decided = {order_id: row for order_id, row in rows.items() if row.seq is not None}
    faults += _as_seen(seen, rows)
    faults += stage.db.read(_money, stage, lanes)
    for lane in lanes:
        said = stage.db.read(read_books, lane.sale_id).faults
        faults += [
            f"{lane.slug}: {fault}" for fault in said if not (log_lost and fault.startswith("OVERTAKEN"))
        ]
    found = reconciling.books(stage.settings, None).left + reconciling.copies(stage.settings)
    faults += [f"reconcile: {mismatch}" for mismatch in found]
    return Verdict(
        accepted=len(seen),
        lost=sum(one.order_id not in decided for one in seen),
        doubled=stage.db.read(_doubled, lanes) + len(seen) - len({one.order_id for one in seen}),
        inversions=_inversions(decided) + overtaken(seen, {name: row.seq for name, row in decided.items()}),
        faults=faults,
    )


@contextlib.contextmanager
def _noting(faults: list[str]) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        faults.append(str(error))


def _orders_of(tx: Tx, lanes: Sequence[Lane]) -> dict[str, Row[Any]]:
    mine = orders.c.sale_id.in_([lane.sale_id for lane in lanes])
    columns = (orders.c.order_id, orders.c.sale_id, orders.c.seq, orders.c.accepted_no, orders.c.state)
    return {row.order_id: row for row in tx.all(select(*columns).where(mine))}


def _as_seen(seen: Sequence[Seen], rows: dict[str, Row[Any]]) -> list[str]:
    """Orders whose books say something else than the last word that their buyers were given."""
    told = [(one, rows[one.order_id].state) for one in seen if one.order_id in rows]
    ends = {OrderState.PAID, OrderState.REJECTED, OrderState.CANCELLED}
    return [
        f"order {one.order_id}: the buyer was told {one.state}, the books say {state}"
        for one, state in told
        if one.state in ends and one.state != state
    ]


def _inversions(decided: dict[str, Row[Any]]) -> int:
    """Decisions of a lane that came before one of an order accepted earlier, by the server's own numbers."""
    count = 0
    latest: Counter[str] = Counter()
    for row in sorted(decided.values(), key=lambda row: int(row.seq)):
        count += row.accepted_no < latest[row.sale_id]
        latest[row.sale_id] = max(latest[row.sale_id], row.accepted_no)
    return count


def _doubled(tx: Tx, lanes: Sequence[Lane]) -> int:
    """Orders that took their unit twice, and passes that bought twice."""
    mine = orders.c.sale_id.in_([lane.sale_id for lane in lanes])
    taken = (
        select(stock_ledger.c.order_id)
        .join(orders, orders.c.order_id == stock_ledger.c.order_id)
        .where(mine, stock_ledger.c.delta_held > 0)
        .group_by(stock_ledger.c.order_id, stock_ledger.c.sale_item_id)
        .having(func.count() > 1)
    )
    bought = (
        select(orders.c.pass_jti)
        .where(mine, orders.c.state != OrderState.REJECTED)
        .group_by(orders.c.sale_id, orders.c.pass_jti)
        .having(func.count() > 1)
    )
    return len(tx.all(taken)) + len(tx.all(bought))


# ---------------------------------------------------------------- money


@dataclass(frozen=True, slots=True)
class _Booked:
    """What one payment has come to, in minor units."""

    captured: int
    refunded: int


def _at_rest(stage: Stage, lanes: Sequence[Lane]) -> bool:
    """Whether nothing is on its way any more: no entry in a lane, no callback, no refund, no letter."""
    if any(stage.store.llen(SaleKeys(lane.sale_id).lane) for lane in lanes):
        return False
    with contextlib.closing(sqlite3.connect(stage.provider_books)) as books:
        waiting = "SELECT (SELECT count(*) FROM deliveries WHERE ended_at_ms IS NULL)"
        waiting += " + (SELECT count(*) FROM payments WHERE bank_answers_at_ms IS NOT NULL)"
        if books.execute(waiting).fetchone()[0]:
            return False
    return not stage.db.read(_unfinished)


def _unfinished(tx: Tx) -> int:
    effects = select(func.count()).where(outbox.c.kind != MAIL, outbox.c.done_at.is_(None))
    moving = (PaymentState.CREATED, PaymentState.PENDING, PaymentState.REFUND_PENDING)
    money = select(func.count()).where(payments.c.state.in_(moving))
    return int(tx.scalar(effects) or 0) + int(tx.scalar(money) or 0)


def _money(tx: Tx, stage: Stage, lanes: Sequence[Lane]) -> list[str]:
    """Where the provider's books and ours differ, and where a buyer has paid for nothing or twice."""
    mine = orders.c.sale_id.in_([lane.sale_id for lane in lanes])
    query = select(payments, orders.c.state.label("order_state"), orders.c.total).join(
        orders, orders.c.order_id == payments.c.order_id
    )
    theirs = _provider_says(stage)
    kept: Counter[str] = Counter()
    owed: dict[str, int] = {}
    faults = []
    for row in tx.all(query.where(mine)):
        ours, booked = _Booked(row.captured, row.refunded), theirs.get(row.payment_id, _Booked(0, 0))
        if ours != booked:
            faults.append(f"payment {row.payment_id}: the shop has {ours}, the provider {booked}")
        kept[row.order_id] += booked.captured - booked.refunded
        owed[row.order_id] = row.total if row.order_state == OrderState.PAID else 0
    faults += [
        f"order {name}: the provider keeps {kept[name]}, the order is worth {worth}"
        for name, worth in owed.items()
        if kept[name] != worth
    ]
    return faults


def _provider_says(stage: Stage) -> dict[str, _Booked]:
    with contextlib.closing(sqlite3.connect(stage.provider_books)) as books:
        rows = books.execute("SELECT reference, captured, refunded FROM payments").fetchall()
    return {reference: _Booked(captured, refunded) for reference, captured, refunded in rows}

"""Money that came when the hold was over: its order is decided once more, in its turn, as one that comes now.

The payment is committed as succeeded with `late_at` set; the sweeper puts an entry at the end of the sale's lane for as long as
that stands, and the drain decides it: units are free, and the order is paid with a reservation of its own; else the money goes
back. Whatever is repeated or lost in between, the row says whether it is still to be decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update

from shop.mail.letters import Occasion
from shop.orders.changes import move_order
from shop.orders.entry import EntryLine, OrderEntry
from shop.orders.judgement import Judgement
from shop.orders.letters import put_change_letter
from shop.orders.rules import OrderState
from shop.payments.apply import Case, apply, lock_case
from shop.payments.rules import KEPT
from shop.payments.ruling import refuse_late
from shop.storage.columns import to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import order_lines, orders, payments
from shop.vault import Vault

_WAITS: ColumnElement[bool] = and_(
    payments.c.late_at.is_not(None),
    payments.c.state.in_(sorted(KEPT)),
    orders.c.order_id == payments.c.order_id,
    orders.c.state == OrderState.EXPIRED,
)


def late_entries(db: Database, *, limit: int = 500) -> list[OrderEntry]:
    """What waits to be decided again, in the order in which the money came."""
    return db.read(_late_entries, limit)


def still_late(tx: Tx, entries: Sequence[OrderEntry]) -> set[str]:
    """The payments among these entries that nobody has decided on yet."""
    wanted = {entry.late for entry in entries if entry.late}
    found = select(payments.c.payment_id).where(_WAITS, payments.c.payment_id.in_(wanted))
    return set(tx.scalars(found)) if wanted else set()


def lock_late(tx: Tx, payment_id: str) -> Case | None:
    """The payment and its locked order, if it still waits for its decision."""
    case = lock_case(tx, payment_id)
    waits = case is not None and case.payment.late_at is not None and case.payment.state in KEPT
    return case if waits and case is not None and case.order.state == OrderState.EXPIRED else None


def write_late(tx: Tx, vault: Vault, case: Case, judgement: Judgement, *, actor: str) -> None:
    """Write the decision down, without the stock that it takes."""
    if judgement.rejected:
        give_late_back(tx, vault, case, actor=actor)
        return
    move_order(tx, case.order, OrderState.PAID)
    this = payments.c.payment_id == case.payment.payment_id
    tx.execute(update(payments).where(this).values(late_at=None, updated_at=tx.now))
    put_change_letter(tx, vault, case.order, OrderState.PAID, Occasion.ORDER_PAID_LATE)


def give_late_back(tx: Tx, vault: Vault, case: Case, *, actor: str) -> None:
    """There is nothing left for this money: it goes back, and somebody shall look."""
    apply(tx, vault, case, refuse_late(case.attempt), actor=actor)


def refuse_without_lane(db: Database, vault: Vault, payment_id: str) -> bool:
    """Give late money of a sale back that is over, so that nobody decides in its lane; False if it was decided meanwhile."""

    def work(tx: Tx) -> bool:
        case = lock_late(tx, payment_id)
        if case is not None:
            give_late_back(tx, vault, case, actor="sweep")
        return case is not None

    return db.run(work)


def _late_entries(tx: Tx, limit: int) -> list[OrderEntry]:
    query = select(orders, payments.c.payment_id).where(_WAITS)
    rows = tx.all(query.order_by(payments.c.late_at, payments.c.payment_id).limit(limit))
    lines: dict[str, list[EntryLine]] = {row.order_id: [] for row in rows}
    if rows:
        for line in tx.all(select(order_lines).where(order_lines.c.order_id.in_(lines))):
            lines[line.order_id].append(EntryLine(product_id=line.product_id, quantity=line.quantity))
    return [_entry(row, lines[row.order_id], to_millis(tx.now)) for row in rows]


def _entry(row: Any, lines: list[EntryLine], now_ms: int) -> OrderEntry:
    return OrderEntry(
        order_id=row.order_id,
        sale_id=row.sale_id,
        account_id=row.account_id,
        pass_jti=row.pass_jti,
        pass_exp_ms=now_ms,
        lines=lines,
        address_id=None,  # the order has its own copy of it
        fingerprint="",
        late_payment=row.payment_id,
        accepted_no=row.accepted_no,
        accepted_at_ms=now_ms,
    )

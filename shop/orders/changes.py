"""One order moves from one state to the next: lock it, move it, move its stock along.

The use cases (payment, expiry, cancel) call these inside their own transaction, after they have locked the order, and announce
what comes back after the commit.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, select, update

from shop.orders.rules import OUTCOMES, Ended, OrderState, move
from shop.stock.moves import release_held, sell_held
from shop.storage.database import Contended, Tx
from shop.storage.tables import orders

# Made once: making a statement takes longer than sending it.
_LOCKED = select(orders).where(orders.c.order_id == bindparam("wanted")).with_for_update()
_UNCHANGED = update(orders).where(
    orders.c.order_id == bindparam("this"), orders.c.state == bindparam("current")
)


def lock_order(tx: Tx, order_id: str) -> Row[Any] | None:
    """The order's row, locked until the transaction ends; None if the database does not know it."""
    return tx.first(_LOCKED, {"wanted": order_id})


def move_order(tx: Tx, order: Row[Any], wanted: OrderState, **changes: Any) -> None:
    """Move a locked order, setting other columns along. Raises `IllegalMove`."""
    move(OrderState(order.state), wanted)
    found = {"this": order.order_id, "current": order.state}
    if tx.execute(_UNCHANGED, {**found, "state": wanted, "updated_at": tx.now, **changes}).rowcount != 1:
        raise Contended(f"order {order.order_id} was changed by somebody else", retry_after_s=1)


def end_order(
    tx: Tx, order: Row[Any], wanted: OrderState, *, reason: str, actor: str, review_reason: str | None = None
) -> Ended:
    """A locked order that holds units expires or is cancelled: they are free again. Raises `IllegalMove`.

    Touches stock rows, so it comes last in its transaction.
    """
    changes = {} if review_reason is None else {"review_reason": review_reason}
    move_order(tx, order, wanted, **changes)
    release_held(tx, order.order_id, reason=reason, actor=actor)
    return Ended(order.sale_id, order.order_id, order.pass_jti, OUTCOMES[wanted])


def pay_order(tx: Tx, order: Row[Any], *, actor: str) -> Ended:
    """A locked order that holds units is paid: they are sold. Raises `IllegalMove`.

    Touches stock rows, so it comes last in its transaction.
    """
    move_order(tx, order, OrderState.PAID)
    sell_held(tx, order.order_id, reason="paid", actor=actor)
    return Ended(order.sale_id, order.order_id, order.pass_jti, OUTCOMES[OrderState.PAID])

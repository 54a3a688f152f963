"""What becomes of the goods of a paid order: on their way, arrived, wanted back. One function moves; none of it moves stock.

Units that come back are free again when the money has gone back, by a refund.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from shop.errors import IllegalMove, InvalidFields
from shop.orders.changes import lock_order, move_order
from shop.orders.letters import OCCASIONS, put_change_letter, put_refusal_letter
from shop.orders.rules import OrderState, UnknownOrder
from shop.sales.audit import note
from shop.sales.rules import reason_faults
from shop.storage.database import Database, Tx
from shop.vault import Vault


class GoodsAction(StrEnum):
    """What an operator does to the goods of an order."""

    FULFIL = "fulfil"
    SHIP = "ship"
    DELIVER = "deliver"
    ACCEPT_RETURN = "accept-return"
    REFUSE_RETURN = "refuse-return"


_A, _S = GoodsAction, OrderState
# From the only state in which the action makes sense to the one that follows.
STEPS: Mapping[GoodsAction, tuple[OrderState, OrderState]] = {
    _A.FULFIL: (_S.PAID, _S.FULFILLING),
    _A.SHIP: (_S.FULFILLING, _S.SHIPPED),
    _A.DELIVER: (_S.SHIPPED, _S.DELIVERED),
    _A.ACCEPT_RETURN: (_S.RETURN_REQUESTED, _S.RETURNED),
    _A.REFUSE_RETURN: (_S.RETURN_REQUESTED, _S.DELIVERED),
}
NEEDS_REASON = frozenset({_A.REFUSE_RETURN})


def move_goods(
    db: Database, vault: Vault, operator_id: str, order_id: str, action: GoodsAction, reason: str = ""
) -> OrderState:
    """Take an order one step further, and tell its buyer where that matters to them; the same step again is done already. A
    refused return says why.

    Raises UnknownOrder, IllegalMove naming both states, or InvalidFields.
    """
    if (reason or action in NEEDS_REASON) and (faults := reason_faults(reason)):
        raise InvalidFields(faults)
    return db.run(_move, vault, operator_id, order_id, action, reason)


def request_return(db: Database, account_id: str, order_id: str) -> OrderState:
    """A buyer wants to send the goods back; asking twice is asking once. Raises UnknownOrder or IllegalMove."""
    return db.run(_request_return, account_id, order_id)


def _move(
    tx: Tx, vault: Vault, operator_id: str, order_id: str, action: GoodsAction, reason: str
) -> OrderState:
    begins, ends = STEPS[action]
    order = lock_order(tx, order_id)
    if order is None:
        raise UnknownOrder("there is no such order")
    if order.state == ends and action is not _A.REFUSE_RETURN:
        return ends
    if order.state != begins:
        raise IllegalMove("order", order.state, ends)
    move_order(tx, order, ends)
    if action is _A.REFUSE_RETURN:
        put_refusal_letter(tx, vault, order)
    elif ends in OCCASIONS:
        put_change_letter(tx, vault, order, ends)
    note(tx, operator_id, action, order_id, {"from": begins, "to": ends, "reason": reason})
    return ends


def _request_return(tx: Tx, account_id: str, order_id: str) -> OrderState:
    order = lock_order(tx, order_id)
    if order is None or order.account_id != account_id:
        raise UnknownOrder("there is no such order")
    if order.state != OrderState.RETURN_REQUESTED:
        move_order(tx, order, OrderState.RETURN_REQUESTED)
    return OrderState.RETURN_REQUESTED

"""What an operator does to one order: money back, goods on their way, a review settled. Decides nothing; blocks; knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from gateway.announcing import announce_ended
from gateway.bodies.operator import OperatorOrderBody
from gateway.bodies.problems import FieldFault
from gateway.identity import Principal
from gateway.inputs import OrderAction
from gateway.records import order_body
from gateway.refusals import BadFields, UnknownAction
from shop.orders.fulfil import GoodsAction, move_goods
from shop.orders.read import read_any_order
from shop.payments.asked_refund import ACTION as REFUND
from shop.payments.asked_refund import RefundWish, ask_refund
from shop.payments.review import ReviewStep, settle_review

if TYPE_CHECKING:
    from gateway.services import Services

ACTIONS = (REFUND, *map(str, GoodsAction), *map(str, ReviewStep))


def act(
    services: Services, principal: Principal, order_id: str, action: str, given: OrderAction
) -> OperatorOrderBody:
    """One of ACTIONS. Raises UnknownAction, UnknownOrder, IllegalMove, StaleRefund, BadFields or InvalidFields."""
    operator_id = principal.subject_id
    if action != REFUND:
        faults = [
            FieldFault(field=name, message=f"has no meaning for {action}")
            for name in ("amount", "was")
            if getattr(given, name) is not UNSET
        ]
        if faults:
            raise BadFields(faults)
    if action == REFUND:
        amount = None if given.amount is UNSET else given.amount
        wish = RefundWish(order_id, given.reason, amount, None if given.was is UNSET else given.was)
        announce_ended(services, (), ask_refund(services.db, services.vault, operator_id, wish).sale_ids)
    elif action in list(GoodsAction):
        move_goods(services.db, operator_id, order_id, GoodsAction(action), given.reason)
    elif action in list(ReviewStep):
        step = ReviewStep(action)
        settled = settle_review(services.db, services.vault, operator_id, order_id, step, given.reason)
        announce_ended(services, settled.ended, settled.sale_ids)
    else:
        raise UnknownAction("there is no such action")
    services.bells.outbox()
    return order_body(read_any_order(services.db, order_id))

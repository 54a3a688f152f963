"""What an operator does to one order: money back, goods on their way, a review settled, and the like. Decides nothing; blocks; knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from gateway.announcing import announce_ended
from gateway.bodies.operator import OperatorOrderBody
from gateway.bodies.problems import FieldFault
from gateway.inputs import OrderAction
from gateway.queued import undecided_now
from gateway.records import order_body
from gateway.refusals import BadFields, Undecided, UnknownAction
from gateway.sessions import Principal
from shop.orders.cancel import cancel_for_buyer
from shop.orders.fulfil import GoodsAction, move_goods
from shop.orders.offers import CANCEL, OF_QUEUED, RESEND, RETRY
from shop.orders.read import read_any_order
from shop.orders.resend import resend_mail
from shop.orders.stuck import retry_order
from shop.payments.asked_refund import ACTION as REFUND
from shop.payments.asked_refund import RefundWish, ask_refund
from shop.payments.review import ReviewStep, settle_review

if TYPE_CHECKING:
    from gateway.services import Services

ACTIONS = (REFUND, CANCEL, RETRY, RESEND, *map(str, GoodsAction), *map(str, ReviewStep))

# What changes what a buyer was promised, or was decided, says why.
NEED_REASON = frozenset({REFUND, CANCEL, GoodsAction.REFUSE_RETURN, *map(str, ReviewStep)})


def act(
    services: Services, principal: Principal, order_id: str, action: str, given: OrderAction
) -> OperatorOrderBody:
    """One of ACTIONS. Raises UnknownAction, UnknownOrder, Undecided, IllegalMove, NotStuck, StaleRefund, BadFields or InvalidFields."""
    if action not in ACTIONS:
        raise UnknownAction("there is no such action")
    if faults := _faults(action, given):
        raise BadFields(faults)
    if action not in OF_QUEUED and undecided_now(services, order_id) is not None:
        raise Undecided("the order waits for its decision: it can only be cancelled")
    _carry_out(services, principal.subject_id, order_id, action, given)
    services.bells.outbox()
    return order_body(read_any_order(services.db, order_id))


def _faults(action: str, given: OrderAction) -> list[FieldFault]:
    """Values that the action does not take, and the reason that it needs."""
    of_refund = () if action == REFUND else ("amount", "was")
    faults = [
        FieldFault(field=name, message=f"has no meaning for {action}")
        for name in of_refund
        if getattr(given, name) is not UNSET
    ]
    if action in NEED_REASON and given.reason is UNSET:
        faults.append(FieldFault(field="reason", message="is required"))
    return faults


def _carry_out(services: Services, operator_id: str, order_id: str, action: str, given: OrderAction) -> None:
    """Do it, and announce what has ended by it."""
    db, vault = services.db, services.vault
    reason = "" if given.reason is UNSET else given.reason
    match action:
        case "refund":
            amount = None if given.amount is UNSET else given.amount
            wish = RefundWish(order_id, reason, amount, None if given.was is UNSET else given.was)
            announce_ended(services, (), ask_refund(db, vault, operator_id, wish).sale_ids)
        case "cancel":
            queued = undecided_now(services, order_id)
            cancelled = cancel_for_buyer(db, vault, operator_id, order_id, reason, queued)
            announce_ended(services, cancelled.ended, cancelled.sale_ids)
        case "retry":
            retry_order(db, operator_id, order_id, reason)
        case "resend-mail":
            resend_mail(db, vault, operator_id, order_id, reason)
        case _ if action in list(GoodsAction):
            move_goods(db, vault, operator_id, order_id, GoodsAction(action), reason)
        case _:
            settled = settle_review(db, vault, operator_id, order_id, ReviewStep(action), reason)
            announce_ended(services, settled.ended, settled.sale_ids)

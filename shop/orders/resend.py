"""The letter about an order once more, for a buyer who did not get it; once a minute, so that a doubled wish is one letter."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from shop.errors import IllegalMove, InvalidFields
from shop.mail.outbox import KIND as MAIL
from shop.orders.changes import lock_order
from shop.orders.letters import STANDING, put_standing_letter
from shop.orders.offers import RESEND
from shop.orders.rules import OrderState, UnknownOrder
from shop.sales.audit import note
from shop.sales.rules import reason_faults
from shop.storage.database import Database, Tx
from shop.storage.tables import outbox
from shop.vault import Vault

AT_MOST_EVERY = timedelta(minutes=1)


def resend_mail(db: Database, vault: Vault, operator_id: str, order_id: str, reason: str) -> bool:
    """Write to the buyer how the order stands, to the address that the account has now; audited.

    False where such a letter was asked for within the last minute. Raises UnknownOrder, InvalidFields, or IllegalMove in a state
    that has no letter.
    """
    if reason and (faults := reason_faults(reason)):
        raise InvalidFields(faults)
    return db.run(_resend, vault, operator_id, order_id, reason)


def _resend(tx: Tx, vault: Vault, operator_id: str, order_id: str, reason: str) -> bool:
    order = lock_order(tx, order_id)
    if order is None:
        raise UnknownOrder("there is no such order")
    if OrderState(order.state) not in STANDING:
        raise IllegalMove("order", order.state, RESEND)
    name = f"{MAIL}:{order_id}:again-"
    mine = (outbox.c.dedupe > name) & (outbox.c.dedupe < name + ":")  # the sign after the digits
    latest = tx.scalar(select(func.max(outbox.c.created_at)).where(mine))
    if latest is not None and latest > tx.now - AT_MOST_EVERY:
        return False
    put_standing_letter(tx, vault, order)
    note(tx, operator_id, RESEND, order_id, {"state": order.state, "reason": reason})
    return True

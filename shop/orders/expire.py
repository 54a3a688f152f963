"""Holds that have run out: the units go to the next in line, once it is sure that no money is on its way for them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, exists, select

from shop.orders.changes import end_order, lock_order
from shop.orders.letters import put_change_letter
from shop.orders.money import is_open, is_suspended, payment_states
from shop.orders.rules import HOLDING_STATES, Ended, OrderState
from shop.payments.ask import Answer, ask_provider
from shop.payments.providers import Providers
from shop.payments.rules import OPEN, PaymentState
from shop.storage.database import Database, Tx
from shop.storage.tables import orders, payments
from shop.vault import Vault

ACTOR = "sweep"
# A provider that stays silent so long after the end of the hold is not waited for any more; late money is given back.
WAIT_FOR_PROVIDER = timedelta(minutes=10)
REVIEW_UNKNOWN = "provider_unknown"
# So long the provider is asked about attempts that it could not tell of when their order ended.
ASK_AGAIN_FOR = timedelta(hours=24)
# Each silent provider costs seconds; after so many in one sweep the others wait for the next.
SILENCES = 2
# So does a slow one: units that nobody pays for are free with the next round, which must not wait for long.
ASKING_S = 10.0


@dataclass(slots=True)
class Swept:
    """What the caller announces."""

    ended: list[Ended] = field(default_factory=list)
    sale_ids: set[str] = field(default_factory=set)


def expire_due(
    db: Database, vault: Vault, providers: Providers, *, limit: int = 200, asking_s: float = ASKING_S
) -> Swept:
    """End up to `limit` orders of each state whose hold is over, by ascending id, each in a transaction of its own.

    Orders in `paying` ask the provider first, outside any transaction, for about `asking_s` seconds in all; an order with suspended
    money stays. Raises `Unavailable`; what was ended before that is found by the next sweep's comparison.
    """
    swept = Swept()
    silences, enough = 0, time.monotonic() + asking_s
    for row in db.read(_due, limit):
        answer = Answer.CANCELLED
        if row.state == OrderState.PAYING:
            if time.monotonic() >= enough:
                break  # they come last
            answer = Answer.UNREACHABLE
            if silences < SILENCES:
                asked = ask_provider(db, vault, providers, row.order_id)
                answer = asked.answer
                swept.ended += asked.ended
                swept.sale_ids.update(asked.sale_ids)
            silences += answer is Answer.UNREACHABLE
        if answer not in (Answer.CANCELLED, Answer.UNREACHABLE):
            continue
        ended = db.run(_expire, vault, row.order_id)
        if ended is not None:
            swept.ended.append(ended)
            swept.sale_ids.add(ended.sale_id)
    return swept


def ask_again(
    db: Database, vault: Vault, providers: Providers, *, limit: int = 50, asking_s: float = ASKING_S
) -> Swept:
    """Ask about the attempts of orders that ended while the provider was silent: end them there, or hear that they were paid.

    What was paid meanwhile is late money. Stops at the first silence and after about `asking_s` seconds; whoever calls comes by
    again.
    """
    swept = Swept()
    enough = time.monotonic() + asking_s
    for order_id in db.read(_left_open, limit):
        if time.monotonic() >= enough:
            break
        asked = ask_provider(db, vault, providers, order_id)
        swept.ended += asked.ended
        swept.sale_ids.update(asked.sale_ids)
        if asked.answer is Answer.UNREACHABLE:
            break
    return swept


def _left_open(tx: Tx, limit: int) -> list[str]:
    """The newest first, so that one of which a provider never tells keeps nobody waiting."""
    attempt = exists().where(payments.c.order_id == orders.c.order_id, payments.c.state.in_(sorted(OPEN)))
    recently = orders.c.hold_expires_at.between(tx.now - ASK_AGAIN_FOR, tx.now)
    unknown = (orders.c.state == OrderState.EXPIRED) & (orders.c.review_reason == REVIEW_UNKNOWN)
    query = select(orders.c.order_id).where(unknown, recently, attempt).limit(limit)
    return list(tx.scalars(query.order_by(orders.c.hold_expires_at.desc(), orders.c.order_id)))


def _due(tx: Tx, limit: int) -> list[Row[Any]]:
    suspended = exists().where(
        payments.c.order_id == orders.c.order_id, payments.c.state == PaymentState.SUSPENSE
    )
    over = (orders.c.hold_expires_at <= tx.now) & ~suspended
    query = select(orders.c.order_id, orders.c.state).where(over).order_by(orders.c.order_id).limit(limit)
    # Those that wait for a silent provider must neither fill the room of those that need no answer nor delay them.
    states = (OrderState.RESERVED, OrderState.PAYING)
    return [row for state in states for row in tx.all(query.where(orders.c.state == state))]


def _expire(tx: Tx, vault: Vault, order_id: str) -> Ended | None:
    """End the order if it still holds units beyond its time; None if it went on, or has to wait for money."""
    order = lock_order(tx, order_id)
    if order is None or order.state not in HOLDING_STATES or order.hold_expires_at > tx.now:
        return None
    states = payment_states(tx, order_id)
    waited = order.hold_expires_at + WAIT_FOR_PROVIDER <= tx.now
    if is_suspended(states) or (is_open(states) and not waited):
        return None
    review = REVIEW_UNKNOWN if is_open(states) else None
    put_change_letter(tx, vault, order, OrderState.EXPIRED)
    return end_order(tx, order, OrderState.EXPIRED, reason="expired", actor=ACTOR, review_reason=review)

"""Finding slots of the waiting room that are taken by orders which have ended, because the word of their end was lost.

Compares the room's `ordering` set with the database and says it again. Knows of the room's records only the jti of a ticket.
"""

from __future__ import annotations

import msgspec

from shop.orders.read import ended_orders
from shop.orders.rules import Ended, OrderOutcome
from waiting_room.keys import SaleKeys
from workers.publish import announce_outcomes
from workers.runtime import Runtime

# What the room itself writes in place of an order id on a pass that was left or has expired.
_NO_ORDER = {"left", "expired"}


class _Served(msgspec.Struct):
    """The part of the room's record of a ticket that is needed here."""

    jti: str | None = None


def announce_forgotten(runtime: Runtime, sale_id: str) -> int:
    """Tell the room again which of its orders have ended; how many. Nothing while it has not taken in the last words."""
    keys = SaleKeys(sale_id)
    client = runtime.redis
    if client.llen(keys.outcomes):
        return 0
    jtis = _ordering(runtime, keys)
    if not jtis:
        return 0
    orders = dict(zip(jtis, client.hmget(keys.passes, jtis), strict=True))
    # Without a mark the order was rejected, and only the room has not heard of it.
    ended = [Ended(sale_id, "", jti, OrderOutcome.REJECTED) for jti, order in orders.items() if order is None]
    known = [str(order) for order in orders.values() if order is not None and order not in _NO_ORDER]
    ended += ended_orders(runtime.db, known)
    runtime.lanes.give_back(
        sale_id, [(one.jti, one.order_id) for one in ended if one.outcome is OrderOutcome.REJECTED]
    )
    announce_outcomes(client, ended)
    return len(ended)


def _ordering(runtime: Runtime, keys: SaleKeys) -> list[str]:
    """The jti of every ticket that has a live order, as far as the room knows."""
    tickets = [str(ticket) for ticket in runtime.redis.zrange(keys.ordering, 0, -1)]
    if not tickets:
        return []
    records = [record for record in runtime.redis.hmget(keys.served, tickets) if record]
    served = [msgspec.json.decode(record, type=_Served) for record in records]
    return [one.jti for one in served if one.jti is not None]

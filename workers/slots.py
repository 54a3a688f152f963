"""The slots that orders hold in the waiting room, compared with the database.

A slot of an order that has ended is still taken when the word of the end was lost: it is said again. A slot whose order lives on
beyond the time that was reckoned with at its acceptance is kept. Knows of the room's records only the jti of a ticket.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shop.orders.read import ended_orders, holding_orders
from shop.orders.rules import Ended, OrderOutcome
from waiting_room.keys import SaleKeys
from workers.lanes import ticket_of
from workers.publish import announce_outcomes
from workers.runtime import Runtime

# What the room itself writes in place of an order id on a pass that was left or has expired.
_NO_ORDER = {"left", "expired"}
# A live order's backstop is put off when it is nearer than this on the sale's clock; the sweeper comes by every few seconds.
KEEP_MS = 60_000


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


def keep_live(runtime: Runtime, sale_id: str) -> int:
    """Put off the backstop of every slot whose order still holds units; how many. Holds are lengthened while money is awaited."""
    keys = SaleKeys(sale_id)
    client = runtime.redis
    clock_ms = int(client.hget(keys.room, "clock_ms") or 0)
    near = [str(ticket) for ticket in client.zrangebyscore(keys.ordering, "-inf", clock_ms + KEEP_MS)]
    jtis = _jtis(runtime, keys, near)
    if not jtis:
        return 0
    orders = dict(zip(jtis, client.hmget(keys.passes, jtis), strict=True))
    holding = holding_orders(runtime.db, [str(order) for order in orders.values() if order is not None])
    backstops = {ticket_of(jti): clock_ms + 2 * KEEP_MS for jti, order in orders.items() if order in holding}
    if backstops:  # a slot that was freed meanwhile stays free
        client.zadd(keys.ordering, backstops, xx=True, gt=True)
    return len(backstops)


def _ordering(runtime: Runtime, keys: SaleKeys) -> list[str]:
    """The jti of every ticket that has a live order, as far as the room knows."""
    return _jtis(runtime, keys, [str(ticket) for ticket in runtime.redis.zrange(keys.ordering, 0, -1)])


def _jtis(runtime: Runtime, keys: SaleKeys, tickets: Sequence[str]) -> list[str]:
    """What the passes of these tickets are called, as far as they have one."""
    if not tickets:
        return []
    records = [record for record in runtime.redis.hmget(keys.served, tickets) if record]
    served = [msgspec.json.decode(record, type=_Served) for record in records]
    return [one.jti for one in served if one.jti is not None]

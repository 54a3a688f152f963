"""Orders and payments of a rehearsal: accepted by the real script, decided from paper counters instead of the database, and told
to the room as workers tell it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from redis.asyncio import Redis

from rehearsal.plan import Plan
from shop.orders.entry import EntryLine
from shop.orders.rules import Ended, OrderOutcome
from shop.sales.publication import SalePublication
from shop.sales.reading import Sale
from shop.sales.rules import FIFO, Control
from shop.stock.publication import ItemStock, StockPublication
from waiting_room.keys import SaleKeys
from workers import publish
from workers.lanes import Lanes, OrderDraft
from workers.refusals import LaneBusy, SoldOutEarly

PRODUCT = "unit"
FOR_LONG = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Pass:
    jti: str
    exp_ms: int


class Till:
    """The books of one run: `held` and `sold` of `plan.stock` units, one to an order."""

    def __init__(self, client: Redis, sync: redis.Redis, sale_id: str, plan: Plan) -> None:
        self._client, self._sync, self._sale_id, self._plan = client, sync, sale_id, plan
        self._lanes = Lanes(client)
        self._keys = SaleKeys(sale_id)
        self._passes: dict[str, _Pass] = {}
        self._orders = itertools.count(1)
        self._versions = itertools.count(1)
        self._ended: list[Ended] = []
        self.held = 0
        self.sold = 0

    @property
    def free(self) -> int:
        return self._plan.stock - self.held - self.sold

    def publish(self, *, opened: datetime) -> None:
        """Lay the copies of a sale that opened then and stays open."""
        sale = _sale(self._sale_id, self._plan, opened)
        publish.publish_sale(self._sync, SalePublication(sale, self._stock(), first=True))

    def admit(self, ticket: str, jti: str, exp_s: int) -> None:
        """The pass that a buyer has claimed."""
        self._passes[ticket] = _Pass(jti, exp_s * 1000)

    async def order(self, tickets: Sequence[str]) -> set[str]:
        """Accept the orders of these buyers in turn and decide them in that order; who got a unit."""
        taken: set[str] = set()
        accepted: list[tuple[str, str]] = []
        for ticket in tickets:
            order_id = f"order{next(self._orders):08}"
            try:
                await self._lanes.accept(self._draft(order_id, ticket))
            except (SoldOutEarly, LaneBusy):
                continue
            accepted.append((ticket, order_id))
        for ticket, order_id in accepted:
            if self.free > 0:
                self.held += 1
                taken.add(ticket)
            else:  # the pass is given back, and the room is told
                await self._client.hdel(self._keys.passes, self._passes[ticket].jti)
                self._end(ticket, OrderOutcome.REJECTED, order_id)
        if accepted:
            await self._client.delete(self._keys.lane)
            self.tell()
        return taken

    def pay(self, ticket: str) -> None:
        """The money has come."""
        self.held, self.sold = self.held - 1, self.sold + 1
        self._end(ticket, OrderOutcome.PAID)

    def expire(self, ticket: str) -> None:
        """The hold is over without money."""
        self.held -= 1
        self._end(ticket, OrderOutcome.ENDED)

    def tell(self) -> None:
        """Lay the copy of the stock and announce what has ended, as after a commit."""
        publish.publish_stock(self._sync, self._stock())
        publish.announce_outcomes(self._sync, self._ended)
        self._ended.clear()

    def _end(self, ticket: str, outcome: OrderOutcome, order_id: str = "") -> None:
        self._ended.append(Ended(self._sale_id, order_id, self._passes[ticket].jti, outcome))

    def _stock(self) -> StockPublication:
        item = ItemStock(PRODUCT, self._plan.stock, self.held, self.sold, limit_per_buyer=1)
        return StockPublication(self._sale_id, next(self._versions), (item,))

    def _draft(self, order_id: str, ticket: str) -> OrderDraft:
        held = self._passes[ticket]
        return OrderDraft(
            order_id=order_id,
            sale_id=self._sale_id,
            account_id=ticket,
            pass_jti=held.jti,
            pass_exp_ms=held.exp_ms,
            lines=[EntryLine(product_id=PRODUCT, quantity=1)],
            address_id=None,
            fingerprint=order_id,
        )


def _sale(sale_id: str, plan: Plan, opened: datetime) -> Sale:
    return Sale(
        sale_id=sale_id,
        slug=sale_id,
        title="rehearsal",
        mode=FIFO,
        control=Control.RUNNING,
        lobby_opens_at=opened,
        opens_at=opened,
        closes_at=opened + FOR_LONG,
        calls_per_minute=plan.calls_per_minute,
        capacity=plan.capacity,
        turn_window_s=plan.turn_window_s,
        comeback_s=plan.comeback_s,
        hold_s=plan.hold_s,
        pass_s=plan.pass_s,
        over_call_limit=plan.over_call_limit,
        message_ko=None,
        message_en=None,
        guests=False,
        challenge=False,
        ticket_key_id="",
        version=1,
        created_at=opened,
        closed_at=None,
        items=(),
    )

"""The database, as far as the room knows one: what both sides of a trial are told after a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from tests.model import reference
from waiting_room.books import DrawBook, ListEnd
from waiting_room.keys import SaleKeys
from waiting_room.recovery import Ledger, OrderRow
from waiting_room.ticking import CallRow


@dataclass
class Books:
    """The database, as far as the room knows one: settings, blocks of numbers, the copied log, orders."""

    client: Redis
    keys: SaleKeys
    settings: reference.Settings
    rows: dict[str, CallRow] = field(default_factory=dict)
    orders: dict[str, OrderRow] = field(default_factory=dict)
    copied_ms: int | None = None
    next_number: int = 1
    block: tuple[int, int] = (0, 0)
    drawn: DrawBook | None = None
    pages: list[str] = field(default_factory=list)

    async def publish(self, sale_id: str) -> None:  # noqa: ARG002 (the port)
        """As workers.publish lays it."""
        told = self.settings
        fields = {
            name: str(value) for name, value in vars(told).items() if name not in ("allotted", "held", "sold")
        }
        fields |= {
            "version": "1",
            "slug": "demo",
            "title": "A sale",
            "over_call_limit": "100",
        }
        stock = {"version": "1", "allotted": told.allotted, "held": told.held, "sold": told.sold}
        stock["item:p"] = f"{told.allotted}:{told.held}:{told.sold}:2"
        pipeline = self.client.pipeline(transaction=False)
        pipeline.hset(self.keys.settings, mapping=fields)
        pipeline.hset(self.keys.stock, mapping=stock)
        pipeline.set(self.keys.lane_open, (await self.client.info("server"))["run_id"])
        await pipeline.execute()

    async def next_block(self, sale_id: str, size: int) -> tuple[int, int]:  # noqa: ARG002
        self.block = (self.next_number, self.next_number + size - 1)
        self.next_number += size
        return self.block

    async def copy_calls(self, sale_id: str, rows: Sequence[CallRow]) -> None:  # noqa: ARG002
        for row in rows:
            self.rows.setdefault(row.entry_id, row)

    async def note_copied(self, sale_id: str, at_ms: int) -> None:  # noqa: ARG002
        self.copied_ms = max(at_ms, self.copied_ms or 0)

    async def note_numbers(self, sale_id: str, given: int, at_ms: int) -> None:
        """The model compares no times of joining."""

    async def whole_until(self, sale_id: str) -> int | None:  # noqa: ARG002
        return self.copied_ms

    async def calls_after(self, sale_id: str, entry_id: str, count: int) -> Sequence[CallRow]:  # noqa: ARG002
        return [self.rows[one] for one in sorted(self.rows) if one > entry_id][:count]

    async def orders_after(self, sale_id: str, order_id: str, count: int) -> Sequence[OrderRow]:  # noqa: ARG002
        return [self.orders[one] for one in sorted(self.orders) if one > order_id][:count]

    async def draw(self, sale_id: str) -> DrawBook | None:  # noqa: ARG002
        return self.drawn

    async def note_opened(self, sale_id: str, at_ms: int) -> None:  # noqa: ARG002
        assert self.drawn is not None
        self.drawn = self.drawn if self.drawn.opened_ms else replace(self.drawn, opened_ms=at_ms)

    async def list_end(self, sale_id: str) -> ListEnd:  # noqa: ARG002
        tickets = "".join(self.pages).split()
        return ListEnd(len(self.pages), len(tickets), tickets[-1] if tickets else "")

    async def add_to_list(self, sale_id: str, end: ListEnd, tickets: str) -> ListEnd:
        if end.pages == len(self.pages):
            self.pages.append(tickets)
        return await self.list_end(sale_id)

    async def publish_list(self, sale_id: str, end: ListEnd) -> None:  # noqa: ARG002
        assert self.drawn is not None
        self.drawn = replace(self.drawn, size=end.tickets)

    async def list_text(self, sale_id: str) -> bytes:  # noqa: ARG002
        return "".join(self.pages).encode()

    async def live_sales(self) -> Sequence[Any]:
        raise NotImplementedError

    def ledger(self) -> Ledger:
        ledger = Ledger()
        ledger.read_calls(self.rows[one] for one in sorted(self.rows))
        ledger.read_orders(self.orders[one] for one in sorted(self.orders))
        return ledger

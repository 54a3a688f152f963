"""A sale on a real Redis, driven tick by tick: what the promise tests of the waiting room share.

Settings and stock are laid as the publisher lays them; time passes on the sale's own clock, so that no test waits for a turn.
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from waiting_room import ticket
from waiting_room.keys import SaleKeys
from waiting_room.pace import NO_LIMIT, Allowance
from waiting_room.replies import Claim
from waiting_room.room import Room
from waiting_room.ticking import Beat, TickReply

SALE_ID = "sale0000001"
LEADER = "the-leader"
LEASE_MS = 60_000
_BEATS = itertools.count()
_BLOCKS = itertools.count()


def ticket_of(name: str, sale_id: str = SALE_ID) -> str:
    """The ticket id of the account of that name."""
    return ticket.ticket_id(b"k" * 32, sale_id, name)


def settings_fields(**changes: Any) -> dict[str, str]:
    """An open sale's settings as stored in Redis, with some changed."""
    now_ms = int(time.time() * 1000)
    fields: dict[str, Any] = {
        "version": 1,
        "slug": "demo",
        "title": "A sale",
        "mode": "fifo",
        "control": "running",
        "lobby_opens_at_ms": now_ms - 20_000,
        "opens_at_ms": now_ms - 10_000,
        "closes_at_ms": now_ms + 3_600_000,
        "calls_per_minute": 6_000,
        "capacity": 100,
        "turn_window_ms": 120_000,
        "comeback_ms": 600_000,
        "hold_ms": 600_000,
        "pass_ms": 900_000,
        "over_call_limit": 100,
        "message_ko": "",
        "message_en": "",
    }
    return {name: str(value) for name, value in (fields | changes).items()}


@dataclass
class OneSale:
    """The sale `sale_id`, its room, and its leader's ticks."""

    client: Redis
    sale_id: str = SALE_ID
    room: Room = field(init=False)
    keys: SaleKeys = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.client)
        self.keys = SaleKeys(self.sale_id)

    async def begin(self, **changes: Any) -> OneSale:
        """Lay settings and stock, lead, and confirm the store."""
        await self.client.hset(self.keys.settings, mapping=settings_fields(**changes))
        await self.stock(allotted=1_000)
        await self.lead()
        return self

    async def lead(self, size: int = 100_000) -> str:
        """Take the lead and confirm the store with a block of numbers of its own; the answer of confirm."""
        assert await self.room.take_lease(self.sale_id, LEADER, LEASE_MS)
        first = 1 + next(_BLOCKS) * 100_000
        return await self.room.confirm_store(self.sale_id, LEADER, f"store{first}", first, first + size - 1)

    async def change(self, **changes: Any) -> None:
        """Change some settings."""
        await self.client.hset(
            self.keys.settings, mapping={name: str(value) for name, value in changes.items()}
        )

    async def stock(self, allotted: int, held: int = 0, sold: int = 0) -> None:
        """Lay the copy of the stock."""
        copy = {"version": "1", "allotted": str(allotted), "held": str(held), "sold": str(sold)}
        await self.client.hset(self.keys.stock, mapping=copy)

    async def tick(
        self, dt_ms: int = 200, *, rate: int = NO_LIMIT, stock: int = NO_LIMIT, backlog: int = NO_LIMIT
    ) -> TickReply:
        """One tick of the leader; it must take effect."""
        beat = Beat(f"beat{next(_BEATS)}", dt_ms, LEASE_MS, Allowance(rate, stock, backlog, 0.0))
        reply = await self.room.tick(self.sale_id, LEADER, beat)
        assert isinstance(reply, TickReply), reply
        return reply

    async def pass_time(self, seconds: int, *, rate: int = 0) -> TickReply:
        """Let time pass on the sale's clock, by default without calls."""
        for _ in range(seconds):
            reply = await self.tick(1_000, rate=rate)
        return reply

    async def call(self, *names: str) -> None:
        """Let buyers join and call them."""
        for name in names:
            await self.room.join(self.sale_id, ticket_of(name))
        for name in names:
            await self.tick()
            assert await self.state(name) == "called", name

    async def admit(self, name: str) -> Claim:
        """Let a buyer join, call and admit them."""
        await self.call(name)
        return await self.claim(name)

    async def claim(self, name: str) -> Claim:
        return await self.room.claim(self.sale_id, ticket_of(name), name, kid="k1")

    async def order(self, name: str, order_id: str = "order") -> None:
        """What the lane does with an accepted order's slot and pass (workers/scripts/accept.lua)."""
        claim = await self.claim(name)
        await self.client.hset(self.keys.passes, claim.jti, order_id)
        await self.client.zrem(self.keys.shopping, ticket_of(name))
        clock_ms = int(await self.client.hget(self.keys.room, "clock_ms") or 0)
        await self.client.zadd(self.keys.ordering, {ticket_of(name): clock_ms + 630_000})

    async def outcome(self, name: str, outcome: str) -> None:
        """What the workers tell of the end of this buyer's order; a rejection gives the pass back first."""
        record = await self.record(name)
        if outcome == "rejected":
            await self.client.hdel(self.keys.passes, record["jti"])
        await self.client.rpush(self.keys.outcomes, f"{record['jti']} {outcome}")

    async def record(self, name: str) -> dict[str, Any]:
        kept = await self.client.hget(self.keys.served, ticket_of(name))
        return dict(json.loads(kept)) if kept else {}

    async def state(self, name: str) -> str:
        """What the buyer of that name sees."""
        return (await self.room.look(self.sale_id, ticket_of(name))).state.value


async def live_places(sale: OneSale) -> int:
    """How many places of all kinds the store holds."""
    sets = (sale.keys.line, sale.keys.turns, sale.keys.missed, sale.keys.shopping, sale.keys.ordering)
    return sum([int(await sale.client.zcard(key)) for key in sets])

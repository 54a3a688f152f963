"""One sale on a private Redis, by a simulated clock: the room's own scripts and pace, orders and payments as the workers tell them.

The scripts' deadlines are those of the sale's clock, which ticks move by a second; the wall clock is only asked whether the sale is
open, so it opened long ago. A draw is rehearsed as a line: those who wait at the opening are in no particular order either way.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import redis
from redis.asyncio import Redis

from rehearsal.crowd import Buyer
from rehearsal.plan import Plan
from rehearsal.report import MOST_OF_STOCK, End, Fate, Outcome, Sample, percentile, thinned
from rehearsal.till import Till
from waiting_room.collector import MOST_IN_BATCH
from waiting_room.keys import SaleKeys
from waiting_room.pace import Allowance, BacklogLimits, allowance, carry_over
from waiting_room.refusals import SoldOut
from waiting_room.room import Room
from waiting_room.ticking import Beat, TickReply

TICK_MS = 1000
LEASE_MS = 3_600_000
LEADER, KEY = "rehearsal", "rehearsal"
RETRY_MS = 15_000


class RehearsalFault(Exception):
    """The private Redis did not do as it should; one sentence."""


class Stage:
    """One run. `early` of the buyers stand in the line already when it begins; `prepare` or `copy_from` puts them there."""

    def __init__(
        self, client: Redis, sync: redis.Redis, sale_id: str, plan: Plan, buyers: Sequence[Buyer]
    ) -> None:
        self._client, self._plan, self._sale_id = client, plan, sale_id
        self._keys = SaleKeys(sale_id)
        self._room = Room(client, within_s=30, chance=lambda: 0.5)
        self._till = Till(client, sync, sale_id, plan)
        self._buyers = {buyer.ticket_id: buyer for buyer in buyers}
        self._coming = list(buyers)
        self._early = sum(buyer.comes_ms <= 0 for buyer in buyers)
        self._arrived = self._early
        self._fates = dict.fromkeys(self._buyers, Fate.TOO_LATE)
        self._due: list[tuple[int, int, str, str]] = []
        self._planned = 0
        self._beats = 0
        self._waits: dict[str, int] = {}
        self._lapsed: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._limits: Counter[str] = Counter()
        self._samples: list[Sample] = []
        self._slot_seconds = 0
        self.ran_dry = False  # somebody could have been called, and nobody waited
        self._all_held_s: int | None = None
        self._sold_most_s: int | None = None

    @property
    def size(self) -> int:
        """How many come before the opening."""
        return self._early

    # ------------------------------------------------------------ before the opening

    async def prepare(self) -> None:
        """Publish the sale, lead it, and let those come who come before the opening."""
        await self._publish()
        done = await self._room.confirm_store(self._sale_id, LEADER, "rehearsal", 1, len(self._buyers))
        if done != "confirmed":
            raise RehearsalFault(f"the rehearsal's line cannot be opened: {done}")
        await self._all(self._join, [buyer.ticket_id for buyer in self._coming[: self._early]])

    async def copy_from(self, other: Stage) -> None:
        """The same crowd as another stage that was prepared and has not begun: the same plan but for rate and capacity."""
        await self._publish()
        for name in ("room", "line"):
            await self._client.copy(getattr(other._keys, name), getattr(self._keys, name), replace=True)

    async def clear(self) -> None:
        """Make room for the next run."""
        async for key in self._client.scan_iter(match=f"*{{{self._sale_id}}}*", count=10_000):
            await self._client.unlink(key)

    async def _publish(self) -> None:
        self._till.publish(opened=datetime.now(UTC) - timedelta(hours=1))
        if not await self._room.take_lease(self._sale_id, LEADER, LEASE_MS):
            raise RehearsalFault("somebody else leads the rehearsal's line")

    # ------------------------------------------------------------ the sale

    async def run(self) -> Outcome:
        """From the opening until the stock is sold, nobody is left, or the sale closes."""
        for buyer in self._coming[: self._early]:
            self._begins_to_wait(buyer, 0)
        reply, carry, second, end = await self._beat(0, Allowance.none()), 0.0, 0, End.CLOSED
        while second < self._plan.lasts_s:
            second += 1
            await self._happen(second * TICK_MS)
            reply, carry = await self._tick(reply, carry)
            await self._read_log(reply.calls_logged, second * TICK_MS)
            self._note(second, reply)
            if self._till.sold >= self._plan.stock:
                end = End.SOLD_OUT
                break
            if self._is_empty(reply):
                end = End.NOBODY_LEFT
                break
        return self._outcome(second, end)

    async def _tick(self, before: TickReply, carry: float) -> tuple[TickReply, float]:
        """One second of calls, in as many steps as it takes: the last reply with the calls of all, and what is carried over."""
        last, dt_ms, calls = before, TICK_MS, 0
        while True:
            allowed = allowance(last, carry, dt_ms, BacklogLimits())
            last, dt_ms = await self._beat(dt_ms, allowed), 0
            calls += last.calls
            gate_open = last.gate == "open"
            carry = carry_over(
                allowed.budget, last.calls, open_gate=gate_open, waiting=last.waiting, more=last.more
            )
            if not last.more:
                return msgspec.structs.replace(last, calls=calls), carry

    async def _beat(self, dt_ms: int, allowed: Allowance) -> TickReply:
        self._beats += 1
        beat = Beat(f"beat{self._beats}", dt_ms, LEASE_MS, allowed)
        reply = await self._room.tick(self._sale_id, LEADER, beat)
        if not isinstance(reply, TickReply):
            raise RehearsalFault(f"the rehearsal's line stands still: {reply.value}")
        return reply

    def _is_empty(self, reply: TickReply) -> bool:
        busy = reply.waiting + reply.called + reply.shopping + reply.ordering
        return busy == 0 and not self._due and self._arrived == len(self._coming)

    def _plan_at(self, at_ms: int, what: str, ticket: str) -> None:
        self._planned += 1
        heapq.heappush(self._due, (at_ms, self._planned, what, ticket))

    def _begins_to_wait(self, buyer: Buyer, at_ms: int) -> None:
        self._fates[buyer.ticket_id] = Fate.WAITING
        if buyer.leaves_ms is not None:
            self._plan_at(at_ms + buyer.leaves_ms, "leave", buyer.ticket_id)

    # ------------------------------------------------------------ one second of it

    async def _happen(self, now_ms: int) -> None:
        """Everything that is due: money first, then those who come, answer, order and leave."""
        due: dict[str, list[tuple[int, str]]] = {}
        while self._due and self._due[0][0] <= now_ms:
            at_ms, _, what, ticket = heapq.heappop(self._due)
            due.setdefault(what, []).append((at_ms, ticket))
        for _, ticket in due.get("pay", ()):
            self._till.pay(ticket)
            self._fates[ticket] = Fate.BOUGHT
        for _, ticket in due.get("expire", ()):
            self._till.expire(ticket)
            self._fates[ticket] = Fate.UNPAID
        if "pay" in due or "expire" in due:
            self._till.tell()
        await self._come(
            now_ms, [ticket for _, ticket in due.get("return", ()) if self._is(ticket, Fate.MISSED)]
        )
        await self._answer(due)
        await self._order(due.get("order", ()))
        leaving = [ticket for _, ticket in due.get("leave", ()) if self._is(ticket, Fate.WAITING)]
        await self._all(self._leave, leaving)
        for ticket in leaving:
            self._fates[ticket] = Fate.LEFT

    def _is(self, ticket: str, *fates: Fate) -> bool:
        return self._fates[ticket] in fates

    async def _come(self, now_ms: int, returning: Sequence[str]) -> None:
        first = self._arrived
        while self._arrived < len(self._coming) and self._coming[self._arrived].comes_ms <= now_ms:
            self._arrived += 1
        new = self._coming[first : self._arrived]
        for buyer in new:
            self._begins_to_wait(buyer, buyer.comes_ms)
        for ticket in returning:
            self._fates[ticket] = Fate.WAITING
        self._counts["came_back"] += len(returning)
        await self._all(self._join, [*returning, *(buyer.ticket_id for buyer in new)])

    async def _answer(self, due: dict[str, list[tuple[int, str]]]) -> None:
        seen = [(at_ms, ticket) for at_ms, ticket in due.get("see", ()) if self._is(ticket, Fate.SERVING)]
        await self._all(self._look, [ticket for _, ticket in seen])
        for at_ms, ticket in seen:
            self._plan_at(at_ms + self._buyers[ticket].claims_ms, "claim", ticket)
        claimed = [
            (at_ms, ticket) for at_ms, ticket in due.get("claim", ()) if self._is(ticket, Fate.SERVING)
        ]
        await self._all(self._claim, [ticket for _, ticket in claimed])
        for at_ms, ticket in claimed:
            self._plan_at(at_ms + self._buyers[ticket].orders_ms, "order", ticket)

    async def _order(self, due: Sequence[tuple[int, str]]) -> None:
        """Orders of those whose pass is good still; who finds the units held asks again while it is."""
        ready = [
            one for one in due if self._is(one[1], Fate.SERVING, Fate.REFUSED) and one[1] not in self._lapsed
        ]
        taken = await self._till.order([ticket for _, ticket in ready])
        for at_ms, ticket in ready:
            if ticket not in taken:
                self._fates[ticket] = Fate.REFUSED
                self._plan_at(at_ms + RETRY_MS, "order", ticket)
                continue
            self._fates[ticket] = Fate.SERVING
            pays_ms, hold_ms = self._buyers[ticket].pays_ms, self._plan.hold_s * 1000
            if pays_ms is not None and pays_ms <= hold_ms:
                self._plan_at(at_ms + pays_ms, "pay", ticket)
            else:
                self._plan_at(at_ms + hold_ms, "expire", ticket)

    async def _join(self, ticket: str) -> None:
        try:
            await self._room.join(self._sale_id, ticket)
        except SoldOut:  # the last unit was paid for in this very second
            self._fates[ticket] = Fate.MISSED if ticket in self._waits else Fate.TOO_LATE

    async def _look(self, ticket: str) -> None:
        await self._room.look(self._sale_id, ticket)

    async def _leave(self, ticket: str) -> None:
        await self._room.leave(self._sale_id, ticket)

    async def _claim(self, ticket: str) -> None:
        claim = await self._room.claim(self._sale_id, ticket, ticket, kid=KEY)
        self._till.admit(ticket, claim.jti, claim.exp)

    async def _all(self, step: Callable[[str], Awaitable[Any]], tickets: Sequence[str]) -> None:
        """One step of many buyers, in their order, so that the round trips are shared.

        One batch after the other: several travel at once over several connections, and may overtake each other.
        """
        for at in range(0, len(tickets), MOST_IN_BATCH):
            await asyncio.gather(*(step(ticket) for ticket in tickets[at : at + MOST_IN_BATCH]))

    # ------------------------------------------------------------ what the line did

    async def _read_log(self, logged: int, now_ms: int) -> None:
        """The call log says who was called and whose turn is over, as it does to the leader's clerk."""
        rows = await self._room.read_calls(self._sale_id, logged) if logged else []
        for row in rows:
            self._hear(row.event, row.ticket_id, row.detail, now_ms)
        if rows:
            await self._room.trim_calls(self._sale_id, rows[-1].stream_id)

    def _hear(self, event: str, ticket: str, detail: str, now_ms: int) -> None:
        buyer = self._buyers[ticket]
        if event == "call":
            self._counts["calls"] += 1
            again = ticket in self._waits
            self._waits.setdefault(ticket, max(0, now_ms - max(0, buyer.comes_ms)))
            self._fates[ticket] = Fate.SERVING
            if again or buyer.answers_first:
                self._plan_at(now_ms + buyer.sees_ms, "see", ticket)
        elif event == "miss" or (event == "lapse" and detail in ("turn_over", "unseen")):
            self._counts["missed_turns"] += 1
            self._fates[ticket] = Fate.MISSED
            if event == "miss" and buyer.comes_back_ms is not None:
                self._plan_at(now_ms + buyer.comes_back_ms, "return", ticket)
        elif event == "lapse" and detail == "comeback_over":
            self._fates[ticket] = Fate.MISSED
        elif event == "lapse":
            self._lapsed.add(ticket)
            if self._is(ticket, Fate.SERVING):
                self._fates[ticket] = Fate.ABANDONED

    def _note(self, second: int, reply: TickReply) -> None:
        self.ran_dry = self.ran_dry or reply.waiting == 0
        slots = reply.called + reply.shopping + reply.ordering
        self._slot_seconds += slots
        held_back = reply.waiting > 0
        if held_back or reply.gate != "open":
            self._limits[reply.limit if reply.gate == "open" else reply.gate] += 1
        if self._sold_most_s is None and self._till.sold >= MOST_OF_STOCK * self._plan.stock:
            self._sold_most_s = second
        if self._all_held_s is None and self._till.free == 0:
            self._all_held_s = second
        self._samples.append(
            Sample(second, reply.calls, reply.waiting, slots, self._till.held, self._till.sold)
        )

    def _outcome(self, ended_s: int, end: End) -> Outcome:
        waits = [wait_ms // 1000 for wait_ms in self._waits.values()]
        calls = self._counts["calls"]
        fates = Counter(self._fates.values())
        return Outcome(
            calls_per_minute=self._plan.calls_per_minute,
            capacity=self._plan.capacity,
            end=end,
            ended_s=ended_s,
            all_held_s=self._all_held_s,
            sold_most_s=self._sold_most_s,
            sold_out_s=ended_s if end is End.SOLD_OUT else None,
            sold=self._till.sold,
            calls=calls,
            missed_turns=self._counts["missed_turns"],
            came_back=self._counts["came_back"],
            wait_p50_s=percentile(waits, 50),
            wait_p90_s=percentile(waits, 90),
            wait_p99_s=percentile(waits, 99),
            slot_s=round(self._slot_seconds / calls, 1) if calls else 0.0,
            limits_s=dict(sorted(self._limits.items())),
            fates={fate.value: fates[fate] for fate in Fate},
            samples=thinned(self._samples),
        )

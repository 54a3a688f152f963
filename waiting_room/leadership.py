"""The lead of one sale: ticks on time, and beside them what a tick asks of the books. Started and ended by the controller.

Two loops, so that a slow database never delays a tick: the *ticker* talks to Redis only; the *clerk* confirms the store, lays the
sale's copies again, fetches number blocks, copies the call log and draws. Redis or the books failing is logged and tried again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from dataclasses import dataclass

import structlog

from waiting_room.books import Books
from waiting_room.clock import step_ms
from waiting_room.confirmation import Confirmation
from waiting_room.drawing import Drawing, is_under_way
from waiting_room.pace import Allowance, BacklogLimits, allowance, carry_over
from waiting_room.refusals import RoomUnavailable
from waiting_room.room import Room
from waiting_room.ticking import Beat, TickRefusal, TickReply

log = structlog.get_logger(__name__)

SMALLEST_BLOCK = 10_000
CALLS_AT_ONCE = 500
CLERK_EVERY_S = 0.5
NOTED_EVERY_MS = 800
DIGEST_EVERY_MS = 250
CLERK_AFTER_FAULT_S = 1.0
CLERK_ENDS_WITHIN_S = 2.0
JOINS_REMEMBERED_S = 60
# A standing-by controller asks for the lead this often in one life of a lease.
TRIES_PER_LEASE = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a leader ticks, how long its lease lives without a tick (ms), and when a lane counts as behind."""

    tick_ms: int = 200
    lease_ms: int = 1_500
    backlog: BacklogLimits = BacklogLimits()  # noqa: RUF009 (frozen)


def monotonic_ms() -> int:
    """This machine's monotonic time in whole ms, so that differences add up without drift."""
    return time.monotonic_ns() // 1_000_000


class Leadership:
    """One controller's part in one sale: leads it while it holds the lease, stands by otherwise."""

    def __init__(self, sale_id: str, room: Room, books: Books, *, token: str, timing: Timing) -> None:
        self.sale_id = sale_id
        self._room = room
        self._books = books
        self._token = token
        self._timing = timing
        self._log = log.bind(sale_id=sale_id)
        self.leading = False
        self._last: TickReply | None = None
        self._last_ms: int | None = None
        self._carry = 0.0
        self._unanswered: Beat | None = None
        self._joins: deque[tuple[int, int]] = deque()
        self._wanted: TickRefusal | None = None  # what the last tick lacked
        self._clerk_called = asyncio.Event()
        self._unheard = False
        self._unbooked: type[Exception] | None = None  # why the books could not be done at the last try
        self._noted_ms = 0
        self._given = 0
        self._digest_ms = 0
        self._copied: tuple[TickReply, TickReply] | None = None  # the ticks before and after the last copying
        self._drawing = Drawing(sale_id, room, books, token=token)
        self._confirmation = Confirmation(sale_id, room, books, token=token, lease_ms=timing.lease_ms)

    async def run(self, stop: asyncio.Event) -> None:
        """Lead or stand by until `stop`; then give the lead up."""
        clerk = asyncio.create_task(self._clerk_until(stop), name=f"clerk {self.sale_id}")
        try:
            await self._tick_until(stop)
            if self.leading:
                await self._give_lead_up()
        finally:
            # What the clerk does may be done twice: a database that hangs does not hold up the end.
            await asyncio.wait({clerk}, timeout=CLERK_ENDS_WITHIN_S)
            clerk.cancel()

    async def _give_lead_up(self) -> None:
        self.leading = False
        try:
            await self._room.release_lease(self.sale_id, self._token)
        except RoomUnavailable as fault:
            self._log.warning("lease_not_released", fault=str(fault))  # it ends by itself

    # ------------------------------------------------------------ the ticker

    async def _tick_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            began_ms, goes_on = monotonic_ms(), False
            try:
                if self.leading or await self._take_lead():
                    goes_on = await self._beat()
                self._note(None)
            except RoomUnavailable as fault:
                self._note(fault)
            every_ms = self._timing.tick_ms if self.leading else self._timing.lease_ms // TRIES_PER_LEASE
            pause_ms = 0 if goes_on else max(0, every_ms - (monotonic_ms() - began_ms))
            await _sleep(pause_ms / 1000, stop)

    def _note(self, fault: RoomUnavailable | None) -> None:
        """Tell the log when ticks stop being answered and when they are again, not at every tick."""
        if fault is not None and not self._unheard:
            self._log.warning("ticks_unanswered", fault=str(fault))
        elif fault is None and self._unheard:
            self._log.info("ticks_answered_again")
        self._unheard = fault is not None

    async def _take_lead(self) -> bool:
        self.leading = await self._room.take_lease(self.sale_id, self._token, self._timing.lease_ms)
        if self.leading:
            self._log.info("leads")
            self._forget()
        return self.leading

    def _forget(self) -> None:
        """Nothing of an earlier lead may count into a new one: neither time nor a call that was carried over."""
        self._last, self._last_ms, self._carry, self._unanswered = None, None, 0.0, None
        self._joins.clear()

    async def _beat(self) -> bool:
        """One tick; whether there are more to call at once. A beat whose reply was lost is sent again unchanged, so that its calls are
        made once.
        """
        beat = self._unanswered or self._next_beat()
        self._unanswered = beat
        reply = await self._room.tick(self.sale_id, self._token, beat)
        self._unanswered = None
        if isinstance(reply, TickReply):
            self._take_note(beat, reply)
            await self._tell_processes()
            return reply.more
        if reply is TickRefusal.NOT_LEADER:
            self._log.warning("lost_the_lead")
            self.leading = False
            self._forget()
        else:
            self._forget()
            self._call_clerk(reply)
        return False

    async def _tell_processes(self) -> None:
        """Write the digest, about every second beat: processes answer the crowd from it."""
        now_ms = monotonic_ms()
        if now_ms - self._digest_ms >= DIGEST_EVERY_MS:
            await self._room.write_digest(self.sale_id, self._token)
            self._digest_ms = now_ms

    def _next_beat(self) -> Beat:
        now_ms = monotonic_ms()
        dt_ms = step_ms(self._last_ms, now_ms)
        self._last_ms = now_ms
        allowed = (
            Allowance.none()
            if self._last is None
            else allowance(self._last, self._carry, dt_ms, self._timing.backlog)
        )
        return Beat(secrets.token_urlsafe(9), dt_ms, self._timing.lease_ms, allowed)

    def _take_note(self, beat: Beat, reply: TickReply) -> None:
        self._last = reply
        self._wanted = None
        gate_open, budget = reply.gate == "open", beat.allowance.budget
        self._carry = carry_over(
            budget, reply.calls, open_gate=gate_open, waiting=reply.waiting, more=reply.more
        )
        now_ms = monotonic_ms()
        self._joins.append((now_ms, reply.next_number))
        while now_ms - self._joins[0][0] > JOINS_REMEMBERED_S * 1000:
            self._joins.popleft()
        if self._needs_block(reply) or is_under_way(reply):
            self._clerk_called.set()

    # ------------------------------------------------------------ the clerk

    async def _clerk_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._clerk_called.clear()
            if await self._did_the_books():
                await _sleep(CLERK_EVERY_S, stop, self._clerk_called)
            else:
                await _sleep(CLERK_AFTER_FAULT_S, stop)

    async def _did_the_books(self) -> bool:
        try:
            if self.leading:
                await self._do_the_books()
        except Exception as fault:  # noqa: BLE001 - whatever the books raise: the line goes on, and the clerk tries again
            self._note_books(fault)
            return False
        self._note_books(None)
        return True

    def _note_books(self, fault: Exception | None) -> None:
        """Tell the log when the books stop being done, for which kind of reason, and when they are done again."""
        kind = None if fault is None else type(fault)
        if kind is self._unbooked:
            return
        self._unbooked = kind
        match fault:
            case None:
                self._log.info("books_done_again")
            case RoomUnavailable():
                self._log.warning("clerk_waits", fault=str(fault))
            case _:
                self._log.error("books_failed", exc_info=fault)

    async def _do_the_books(self) -> None:
        if self._wanted is TickRefusal.UNPUBLISHED:
            await self._books.publish(self.sale_id)
        elif self._wanted is TickRefusal.UNCONFIRMED:
            await self._confirm()
        if self._last is not None and self._needs_block(self._last):
            first, last = await self._books.next_block(self.sale_id, self._block_size())
            laid = await self._room.give_block(self.sale_id, self._token, first, last)
            self._log.info("numbers_laid", first=first, last=last, answer=laid)
        await self._copy_calls()
        if self._last is not None and await self._drawing.go_on(self._last):
            self._clerk_called.set()

    async def _confirm(self) -> None:
        """The store is new, was emptied or restarted: everything is laid again before it may be used."""
        await self._copy_rows()  # what a restarted store still has of the log
        if await self._confirmation.confirm(self._block_size()):
            self._wanted = None

    async def _copy_calls(self) -> None:
        """Copy first, trim after: an entry may be copied twice, and is never lost. Then note until when the copy is whole."""
        before = self._last
        whole_ms = self._whole_until()
        await self._copy_rows()
        self._copied = None if before is None or self._last is None else (before, self._last)
        if whole_ms - self._noted_ms >= NOTED_EVERY_MS:
            await self._books.note_copied(self.sale_id, whole_ms)
            self._noted_ms = whole_ms
            await self._note_numbers()

    async def _note_numbers(self) -> None:
        """When numbers were given tells later how long people waited. After a loss the numbers between two blocks belong to nobody."""
        if self._last is not None and self._last.next_number - 1 > self._given:
            self._given = self._last.next_number - 1
            await self._books.note_numbers(self.sale_id, self._given, self._last.as_of_ms)

    def _whole_until(self) -> int:
        """Until when the copy is whole (unix ms): the last tick before the last copying, once a tick after it was answered by
        the same store, so that what was copied cannot have been an emptied store's log. 0 while that is not known.
        """
        if self._copied is None or self._last is None or self._last is self._copied[1]:
            return 0
        return self._copied[0].as_of_ms if self._last.store_id == self._copied[0].store_id else 0

    async def _copy_rows(self) -> None:
        while rows := await self._room.read_calls(self.sale_id, CALLS_AT_ONCE):
            await self._books.copy_calls(self.sale_id, rows)
            await self._room.trim_calls(self.sale_id, rows[-1].stream_id)
            if len(rows) < CALLS_AT_ONCE:
                return

    def _call_clerk(self, wanted: TickRefusal) -> None:
        self._wanted = wanted
        self._clerk_called.set()

    def _needs_block(self, reply: TickReply) -> bool:
        """The next block is fetched when half of the present one is used."""
        return not reply.spare_ready and reply.block_left * 2 < self._block_size()

    def _block_size(self) -> int:
        """Two minutes of the joins just measured, and no fewer than the smallest block."""
        joined = self._joins[-1][1] - self._joins[0][1] if self._joins else 0
        return max(SMALLEST_BLOCK, 2 * joined)


async def _sleep(seconds: float, *until: asyncio.Event) -> None:
    """Wait for the time to pass or for one of the events."""
    waits = [asyncio.ensure_future(event.wait()) for event in until]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()

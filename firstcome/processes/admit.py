"""`firstcome admit`: the controller that calls buyers from every line, and the books that it writes in.

The controller is asynchronous and knows no SQL, the shop is synchronous: the books call it in threads of their own, so that a slow
database never delays a tick.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import redis
import structlog
import uvloop

from firstcome import clients, wiring
from firstcome.settings import Settings
from shop.sales import draws
from shop.sales.line import (
    calls_after,
    copy_calls,
    next_block,
    note_copied,
    note_numbers,
    orders_after,
    whole_until,
)
from shop.sales.publication import read_publication
from shop.sales.reading import live_sale_ids
from shop.sales.turns import CallRow as KeptCall
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Database
from shop.vault import Vault
from waiting_room.books import DrawBook, ListEnd, SaleRef
from waiting_room.controller import Controller
from waiting_room.draw import hash_of_list
from waiting_room.leadership import Timing
from waiting_room.pace import BacklogLimits
from waiting_room.polling import PollLimits
from waiting_room.recovery import OrderRow
from waiting_room.room import Room
from waiting_room.ticking import CallRow
from workers.provider_health import ProviderHealth
from workers.publish import publish_sale

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CONNECTIONS = 16
# All sales ask whether paying works, one question answers them.
HOLD_GOOD_FOR_S = 0.4


class ShopBooks:
    """`waiting_room.books.Books` over the shop's database and the publisher. Raises what these raise."""

    def __init__(
        self,
        db: Database,
        publisher: redis.Redis,
        threads: ThreadPoolExecutor,
        vault: Vault,
        health: ProviderHealth,
    ) -> None:
        self._db = db
        self._vault = vault
        self._publisher = publisher
        self._threads = threads
        self._health = health
        self._hold: asyncio.Task[str] | None = None
        self._hold_ends_s = 0.0

    async def live_sales(self) -> Sequence[SaleRef]:
        """All sales that are neither drafts nor long over."""
        return [SaleRef(sale_id) for sale_id in await self._aside(live_sale_ids, self._db)]

    async def hold(self) -> str:
        """`provider_down` while paying does not work."""
        asked = self._hold
        if asked is None or (asked.done() and time.monotonic() >= self._hold_ends_s):
            asked = self._hold = asyncio.create_task(self._ask_for_hold())
        return await asyncio.shield(asked)  # whoever comes meanwhile waits for the same answer

    async def _ask_for_hold(self) -> str:
        try:
            return "provider_down" if await self._aside(self._health.down) else ""
        finally:
            self._hold_ends_s = time.monotonic() + HOLD_GOOD_FOR_S

    async def publish(self, sale_id: str) -> None:
        """Lay settings, stock and lane mark of the sale into Redis again."""
        await self._aside(self._publish, sale_id)

    async def next_block(self, sale_id: str, size: int) -> tuple[int, int]:
        """Take the next `size` numbers of the sale for ever: first and last."""
        return await self._aside(next_block, self._db, sale_id, size)

    async def copy_calls(self, sale_id: str, rows: Sequence[CallRow]) -> None:
        """Keep these entries of the call log; repeating it changes nothing."""
        await self._aside(copy_calls, self._db, sale_id, [_kept(row) for row in rows])

    async def note_copied(self, sale_id: str, at_ms: int) -> None:
        """Keep that the copied call log is whole up to this moment (unix ms)."""
        await self._aside(note_copied, self._db, sale_id, from_millis(at_ms))

    async def note_numbers(self, sale_id: str, given: int, at_ms: int) -> None:
        """Keep that numbers up to `given` had been given by then (unix ms)."""
        await self._aside(note_numbers, self._db, sale_id, given, from_millis(at_ms))

    async def whole_until(self, sale_id: str) -> int | None:
        """Until when the copied call log is whole (unix ms), None before the first copy."""
        copied = await self._aside(whole_until, self._db, sale_id)
        return None if copied is None else to_millis(copied)

    async def calls_after(self, sale_id: str, entry_id: str, count: int) -> Sequence[CallRow]:
        """Copied entries of the call log, in its order."""
        return [_told(row) for row in await self._aside(calls_after, self._db, sale_id, entry_id, count)]

    async def orders_after(self, sale_id: str, order_id: str, count: int) -> Sequence[OrderRow]:
        """Orders that were not rejected, by their ids."""
        rows = await self._aside(orders_after, self._db, sale_id, order_id, count)
        return [OrderRow(row.order_id, row.jti, row.standing) for row in rows]

    async def draw(self, sale_id: str) -> DrawBook | None:
        """What is kept of the sale's draw, its seed opened; None for a FIFO sale."""
        return await self._aside(self._draw, sale_id)

    async def note_opened(self, sale_id: str, at_ms: int) -> None:
        """Keep when the draw was opened (unix ms); the first time stays."""
        await self._aside(draws.note_opened, self._db, sale_id, from_millis(at_ms))

    async def list_end(self, sale_id: str) -> ListEnd:
        """How far the draw's list was stored."""
        end = await self._aside(draws.stored_list, self._db, sale_id)
        return ListEnd(end.pages, end.tickets, end.last)

    async def add_to_list(self, sale_id: str, end: ListEnd, tickets: str) -> ListEnd:
        """Store the page behind this end; one that is there stays. Where the list ends with it."""
        stored = draws.StoredList(end.pages, end.tickets, end.last)
        grown = await self._aside(draws.add_to_list, self._db, sale_id, stored, tickets)
        return ListEnd(grown.pages, grown.tickets, grown.last)

    async def publish_list(self, sale_id: str, end: ListEnd) -> None:
        """Make list and seed public, if the list still ends there."""
        stored = draws.StoredList(end.pages, end.tickets, end.last)
        await self._aside(draws.publish_list, self._db, sale_id, stored, hash_of_list)

    async def list_text(self, sale_id: str) -> bytes:
        """The whole list, an id a line."""
        return await self._aside(draws.list_text, self._db, sale_id)

    def _draw(self, sale_id: str) -> DrawBook | None:
        draw = draws.read_draw(self._db, sale_id)
        if draw is None:
            return None
        seed = bytes.fromhex(self._vault.open(draw.seed_sealed, draws.seed_place(sale_id)))
        opened_ms = None if draw.opened_at is None else to_millis(draw.opened_at)
        return DrawBook(seed, opened_ms, draw.size if draw.public else None)

    def _publish(self, sale_id: str) -> None:
        publish_sale(self._publisher, read_publication(self._db, sale_id))

    async def _aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))


def run(settings: Settings) -> None:
    """Lead what can be led until SIGTERM or SIGINT."""
    uvloop.run(_control(settings))


async def _control(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = clients.redis_async(settings.redis_url, connections=CONNECTIONS)
    db = wiring.database(settings)
    publisher = clients.redis_sync(settings.redis_url)
    with ThreadPoolExecutor(settings.pool_size, thread_name_prefix="books") as threads:
        controller = Controller(
            Room(
                client,
                unseen_ms=round(settings.unseen_s * 1000),
                polls=PollLimits(floor_ms=settings.poll_floor_ms, ceiling_ms=settings.poll_ceiling_ms),
            ),
            ShopBooks(
                *(db, publisher, threads, wiring.vault(settings)),
                ProviderHealth(publisher, wiring.provider_names(settings)),
            ),
            token=f"{socket.gethostname()}:{os.getpid()}~{secrets.token_urlsafe(12)}",
            timing=Timing(tick_ms=settings.tick_ms, lease_ms=settings.lease_ms, backlog=_backlog(settings)),
        )
        log.info("controller_started")
        await controller.run(stop)
    await client.aclose()
    db.dispose()


def _backlog(settings: Settings) -> BacklogLimits:
    return BacklogLimits(
        max_age_ms=round(settings.lane_max_age_s * 1000), max_length=settings.lane_max_length
    )


def _told(row: KeptCall) -> CallRow:
    return CallRow(
        entry_id=row.entry_id,
        stream_id="",
        event=row.event,
        ticket_id=row.ticket_id,
        number=row.number or 0,
        turn=row.turn or 0,
        detail=row.detail or "",
        at_ms=to_millis(row.at),
    )


def _kept(row: CallRow) -> KeptCall:
    return KeptCall(
        entry_id=row.entry_id,
        event=row.event,
        ticket_id=row.ticket_id,
        at=from_millis(row.at_ms),
        number=row.number,
        turn=row.turn,
        detail=row.detail,
    )

"""The controller: keeps one leadership per live sale, each on its own, so that a sale in trouble never holds up another.

Any number of controllers may run; per sale the lease lets one lead and the others stand by. Knows no SQL: `Books` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from waiting_room.books import Books, SaleRef
from waiting_room.leadership import Leadership, Timing
from waiting_room.room import Room

log = structlog.get_logger(__name__)

LOOK_FOR_SALES_EVERY_S = 1.0


class Controller:
    """`token` is text of this process alone, its name, "~" and random text; `timing` says how often it ticks and how long its leases live."""

    def __init__(self, room: Room, books: Books, *, token: str, timing: Timing | None = None) -> None:
        self._room = room
        self._books = books
        self._token = token
        self._timing = timing or Timing()
        self._sales: dict[str, tuple[asyncio.Event, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._books_failing = False

    async def run(self, stop: asyncio.Event) -> None:
        """Lead what can be led until `stop`; returns when every lead was given up."""
        try:
            while not stop.is_set():
                await self._follow(stop)
                await _wait(stop, LOOK_FOR_SALES_EVERY_S)
        finally:
            for ended, _ in self._sales.values():
                ended.set()
            await asyncio.gather(*self._tasks)
            self._sales.clear()

    async def _follow(self, stop: asyncio.Event) -> None:
        """Begin with sales that are new among the live ones, end with those that are not live any more."""
        live = await self._live_sales()
        if live is None or stop.is_set():
            return
        wanted = {sale.sale_id for sale in live}
        for sale_id in self._sales.keys() - wanted:
            self._sales.pop(sale_id)[0].set()
        for sale_id in wanted:
            known = self._sales.get(sale_id)
            if known is None or known[1].done():
                self._begin(sale_id)

    def _begin(self, sale_id: str) -> None:
        ended = asyncio.Event()
        leadership = Leadership(sale_id, self._room, self._books, token=self._token, timing=self._timing)
        task = asyncio.get_running_loop().create_task(
            self._guarded(leadership, ended), name=f"sale {sale_id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._sales[sale_id] = (ended, task)

    async def _guarded(self, leadership: Leadership, ended: asyncio.Event) -> None:
        try:
            await leadership.run(ended)
        except (
            Exception
        ):  # a fault of ours in one sale: told whole, begun again with the next look at the live sales
            log.exception("leadership_failed", sale_id=leadership.sale_id)

    async def _live_sales(self) -> Sequence[SaleRef] | None:
        """None while the books do not answer: what is led goes on being led."""
        try:
            live = await self._books.live_sales()
        except Exception:  # whatever the books raise
            if not self._books_failing:
                log.exception("live_sales_unknown")
            self._books_failing = True
            return None
        if self._books_failing:
            log.info("live_sales_known_again")
        self._books_failing = False
        return live


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

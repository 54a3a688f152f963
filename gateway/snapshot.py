"""What everybody may see, kept in this process and at most a second old: products, sales, and the state of every line.

Two loops renew it, one from the database and one from Redis, so that either may be down without the other's part growing old.
Whoever reads it waits for nobody: a crowd that reloads the landing page reaches neither store. When a store stays away, the last
picture serves on for a while, then the answer is SnapshotStale. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from gateway import views
from gateway.bodies.sales import ProductBody, SaleBody
from gateway.pictures import LineView, Pictures, paint, view_of
from gateway.refusals import SnapshotStale, UnknownProduct, UnknownSale
from shop.catalogue.products import Catalogue, read_catalogue
from shop.errors import ShopError
from shop.sales.reading import Sale
from waiting_room.line_state import LineState
from waiting_room.polling import PollLimits
from waiting_room.refusals import RoomError

if TYPE_CHECKING:
    from gateway.draws import Draws
    from shop.storage.database import Database
    from waiting_room.room import Room

log = structlog.get_logger(__name__)

EVERY_S = 0.5
CATALOGUE_GOOD_FOR_S = 300.0
LINES_GOOD_FOR_S = 30.0

LOOK_AGAIN_AFTER_S = 0.2
# Whoever asks for a sale that this process does not know waits no longer for the catalogue.
FOUND_WITHIN_S = 1.0
LINE_KEPT = timedelta(days=1)

SaleView = Sale


@dataclass(frozen=True, slots=True)
class Shelf:
    """The catalogue in the forms in which it is asked for; bodies and their JSON."""

    sales: Mapping[str, Sale]
    sales_by_id: Mapping[str, Sale]
    catalogue: Catalogue


class Snapshot:
    """Renewed by `run`; everything else only reads. `good_for_s` bounds how long an old picture serves on."""

    def __init__(
        self,
        db: Database,
        room: Room,
        limits: PollLimits,
        draws: Draws,
        *,
        every_s: float = EVERY_S,
        catalogue_good_for_s: float = CATALOGUE_GOOD_FOR_S,
        lines_good_for_s: float = LINES_GOOD_FOR_S,
    ) -> None:
        self._db = db
        self._room = room
        self._limits = limits
        self._draws = draws
        self._every_s = every_s
        self._catalogue_good_for_s = catalogue_good_for_s
        self._lines_good_for_s = lines_good_for_s
        self._shelf: Shelf | None = None
        self._shelf_at = 0.0
        self._lines: dict[str, LineView] = {}
        self._lines_at = 0.0
        self._pictures: Pictures | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._finding = asyncio.Lock()
        self._missed_at = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot")

    # ------------------------------------------------------------ renewing

    async def run(self) -> None:
        """Renew both halves until cancelled."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep("catalogue", self.renew_catalogue))
            group.create_task(self._keep("lines", self.renew_lines))

    async def renew(self) -> None:
        """Renew both halves now: at start, and after a change that this process has made. What fails stays as it was."""
        with suppress(ShopError):
            await self.renew_catalogue()
        with suppress(RoomError):
            await self.renew_lines()

    async def renew_catalogue(self) -> None:
        """Raises Unavailable."""
        begun = time.monotonic()
        catalogue = await asyncio.get_running_loop().run_in_executor(self._thread, read_catalogue, self._db)
        sales = {sale.slug: sale for sale in catalogue.sales}
        self._shelf = Shelf(sales, {sale.sale_id: sale for sale in catalogue.sales}, catalogue)
        self._shelf_at = begun
        self._pictures = None

    async def renew_lines(self) -> None:
        """Raises RoomUnavailable."""
        shelf = self._shelf
        if shelf is None:
            return
        begun = time.monotonic()
        states = await self._room.lines(self.going_on())
        self._lines_at = begun
        self._lines = {
            sale.slug: view_of(states[sale.sale_id], self._limits, self._lines.get(sale.slug))
            for sale in shelf.sales.values()
            if sale.sale_id in states
        }
        self._pictures = None

    def look_again(self) -> None:
        """Renew soon, because something has changed. Safe to call from any thread; renews within `every_s` anyway."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def _keep(self, what: str, renew: Callable[[], Awaitable[None]]) -> None:
        failing = False
        while True:
            begun = time.monotonic()
            try:
                await renew()
                if failing:
                    log.info("snapshot_renewed_again", what=what)
                failing = False
            except (ShopError, RoomError) as error:
                if not failing:
                    log.warning("snapshot_not_renewed", what=what, error=str(error))
                failing = True
            except Exception:
                log.exception("snapshot_fault", what=what)
            await self._pause(max(0.05, self._every_s - (time.monotonic() - begun)))

    async def _pause(self, seconds: float) -> None:
        """Until it is time, or something has changed; both loops wake by the same event."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
                self._changed.clear()

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ reading

    @property
    def age_s(self) -> tuple[float | None, float | None]:
        """Seconds since catalogue and lines were asked for; None if never."""
        now = time.monotonic()
        return (
            now - self._shelf_at if self._shelf is not None else None,
            now - self._lines_at if self._lines_at else None,
        )

    def sale(self, slug: str) -> Sale:
        """A listed sale by its slug. Raises UnknownSale or SnapshotStale."""
        try:
            return self._present_shelf().sales[slug]
        except KeyError:
            raise UnknownSale("there is no such sale") from None

    def known(self, slug: str) -> Sale | None:
        """As `sale`, None where there is none yet. Raises SnapshotStale."""
        return self._present_shelf().sales.get(slug)

    async def find(self, slug: str) -> Sale:
        """As `sale`, for calls that may follow right upon a sale's creation in another process.

        An unknown slug makes this process look again, a few times a second at most, however many ask. If it cannot, nobody
        knows whether there is such a sale: SnapshotStale.
        """
        try:
            return self.sale(slug)
        except UnknownSale:
            async with self._finding:
                await self._look_now()
            return self.sale(slug)

    async def _look_now(self) -> None:
        """Renew the catalogue unless that was just done or just failed. Raises SnapshotStale, after a second at most."""
        if time.monotonic() - self._shelf_at <= LOOK_AGAIN_AFTER_S:
            return
        if time.monotonic() - self._missed_at > LOOK_AGAIN_AFTER_S:
            try:
                async with asyncio.timeout(FOUND_WITHIN_S):
                    await self.renew_catalogue()
                return
            except (ShopError, TimeoutError):
                self._missed_at = time.monotonic()
        raise SnapshotStale("the catalogue's store does not answer")

    def last_seen(self, *, slug: str | None = None, sale_id: str | None = None) -> Sale | None:
        """A sale by its slug or its id as it was last seen, however long ago; None where it was not. For what never changes."""
        if self._shelf is None:
            return None
        return self._shelf.sales.get(slug) if slug is not None else self._shelf.sales_by_id.get(sale_id or "")

    def sale_by_id(self, sale_id: str) -> Sale | None:
        """A listed sale by its id; None once it is no longer listed. Raises SnapshotStale."""
        return self._present_shelf().sales_by_id.get(sale_id)

    def going_on(self) -> list[str]:
        """The ids of the listed sales that have a line, or had one until yesterday. Raises SnapshotStale."""
        shelf = self._present_shelf()
        return [
            sale.sale_id for sale in shelf.sales.values() if not _long_over(sale, shelf.catalogue.read_at)
        ]

    def line(self, slug: str) -> LineView:
        """The shared state of a line. Raises UnknownSale or SnapshotStale."""
        sale = self.sale(slug)
        if _long_over(sale, datetime.now(UTC)):
            return view_of(views.ended_line(sale), self._limits, None)
        view = self._lines.get(slug)
        if view is None or time.monotonic() - self._lines_at > self._lines_good_for_s:
            raise SnapshotStale("the line's store does not answer")
        return view

    def state(self, slug: str) -> LineState | None:
        """As `line`, None where there is none to show."""
        view = self._lines.get(slug)
        fresh = time.monotonic() - self._lines_at <= self._lines_good_for_s
        return view.state if view is not None and fresh else None

    def states(self) -> Sequence[LineState]:
        """Every line that is known now."""
        return [view.state for view in self._lines.values()]

    def catalogue(self) -> Catalogue:
        """The catalogue as it was read. Raises SnapshotStale."""
        return self._present_shelf().catalogue

    def pictures(self) -> Pictures:
        """Products and sales as they are shown, with their JSON. Raises SnapshotStale."""
        shelf = self._present_shelf()
        if self._pictures is None:
            states = {slug: self.state(slug) for slug in shelf.sales}
            self._pictures = paint(shelf.catalogue, states, self._draws, datetime.now(UTC))
        return self._pictures

    def products(self) -> list[ProductBody]:
        """All listed products. Raises SnapshotStale."""
        return list(self.pictures().products.values())

    def product(self, product_id: str) -> ProductBody:
        """One product. Raises UnknownProduct or SnapshotStale."""
        try:
            return self.pictures().products[product_id]
        except KeyError:
            raise UnknownProduct("there is no such product") from None

    def sales(self) -> list[SaleBody]:
        """All listed sales, as buyers see them. Raises SnapshotStale."""
        return list(self.pictures().sales.values())

    def sale_body(self, slug: str) -> SaleBody:
        """One sale, as buyers see it. Raises UnknownSale or SnapshotStale."""
        self.sale(slug)
        return self.pictures().sales[slug]

    def _present_shelf(self) -> Shelf:
        if self._shelf is None or time.monotonic() - self._shelf_at > self._catalogue_good_for_s:
            raise SnapshotStale("the catalogue's store does not answer")
        return self._shelf


def _long_over(sale: Sale, now: datetime) -> bool:
    """Sales that ended long ago are looked up in no store any more: their state cannot change."""
    return min(sale.closes_at, sale.closed_at or sale.closes_at) < now - LINE_KEPT

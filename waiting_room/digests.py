"""One process's view of the lines: reads the digests a few times a second, and tells a waiting ticket's place from them.

Whoever asks waits for nobody. What cannot be told for certain is answered with None, and asked in Redis. While Redis is away, the
view as it was serves on for `AWAY_FOR_S`, with the places but without a promise of when. Knows neither HTTP nor SQL.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import structlog

from waiting_room.digest import Digest, callable_since, is_secret, locate, waits_at
from waiting_room.estimate import Estimate, Reason
from waiting_room.place import Place, Scene, scene_of
from waiting_room.polling import PollLimits
from waiting_room.refusals import RoomUnavailable
from waiting_room.room import Room
from waiting_room.ticket import Ticket

log = structlog.get_logger(__name__)

EVERY_S = 0.2
# The leader writes five times a second; a digest that stays the same for longer has no leader, and Redis tells the truth.
GOOD_FOR_S = 3.0
AWAY_FOR_S = 30.0
# Between the digest's instant and its reading here lies one beat of the leader and one of this process.
SEEN_WITHIN_S = 2 * EVERY_S

_NOBODY_KNOWS = Estimate(None, None)
_STANDSTILLS = frozenset({Reason.PAUSED, Reason.STOCK_HELD, Reason.REBUILDING, Reason.DRAWING})


@dataclass(slots=True)
class _View:
    """One line as this process knows it; `seen_s` is the monotonic time at which the digest was new here."""

    digest: Digest
    scene: Scene
    seen_s: float
    gone: set[int | str] = field(default_factory=set)
    gone_known: int = 0


class Digests:
    """`renew` reads, `place` tells. `clock` is monotonic, in seconds; `chance` spreads the polls, in [0, 1)."""

    def __init__(
        self,
        room: Room,
        *,
        polls: PollLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._room = room
        self._polls = polls or PollLimits()
        self._clock = clock
        self._chance = chance
        self._views: dict[str, _View] = {}
        self._away = False

    async def run(self, sale_ids: Callable[[], Iterable[str]]) -> None:
        """Renew until cancelled. `sale_ids` names the lines to be read; whatever it raises is taken for no change of them."""
        wanted: list[str] = []
        while True:
            begun = self._clock()
            with suppress(Exception):
                wanted = list(sale_ids())
            try:
                await self.renew(wanted)
            except RoomUnavailable:
                pass  # told to the log where Redis is asked
            except Exception:  # a digest that cannot be read: polls ask Redis, and the next one may be better
                log.exception("digest_unreadable")
            await asyncio.sleep(max(EVERY_S / 4, EVERY_S - (self._clock() - begun)))

    async def look_again(self, sale_id: str) -> None:
        """Read what is new of one line now. Raises RoomUnavailable."""
        await self._renew(sale_id)

    async def renew(self, sale_ids: Iterable[str]) -> None:
        """Read what is new of these lines, in one round trip; others are forgotten. Raises RoomUnavailable."""
        wanted = list(sale_ids)
        try:
            await asyncio.gather(*(self._renew(sale_id) for sale_id in wanted))
        except RoomUnavailable:
            self._away = True
            raise
        self._away = False
        for sale_id in self._views.keys() - set(wanted):
            del self._views[sale_id]

    async def _renew(self, sale_id: str) -> None:
        view = self._views.get(sale_id)
        known = (view.gone_known, view.digest.now_ms) if view else (0, 0)
        news = await self._room.digest_news(sale_id, *known)
        if self._views.get(sale_id) is not view or (view and view.gone_known != known[0]):
            return  # another reading was faster
        if news.digest is None:
            if not news.unchanged:
                self._views.pop(sale_id, None)
        elif view is None or news.digest.store_id != view.digest.store_id:
            self._begin(sale_id, news.digest)
        elif news.digest.now_ms > view.digest.now_ms:
            view.digest, view.scene, view.seen_s = news.digest, scene_of(news.digest), self._clock()
        if view is not None:
            view.gone.update(news.gone)
            view.gone_known += len(news.gone)

    def _begin(self, sale_id: str, digest: Digest) -> None:
        """Of a digest that was there before nobody can tell how old it is: the next one is the first that counts."""
        self._views[sale_id] = _View(digest, scene_of(digest), self._clock() - AWAY_FOR_S)

    # ------------------------------------------------------------ telling

    def place(self, ticket: Ticket) -> Place | None:
        """The place of a ticket that certainly waits; None when Redis has to be asked."""
        view = self._views.get(ticket.sale_id)
        if view is None or ticket.store_id != view.digest.store_id:
            return None
        age_s = self._clock() - view.seen_s
        if self._away:
            return self._place_while_away(view, ticket, age_s)
        if age_s >= GOOD_FOR_S:
            return None
        if is_secret(view.digest) or ticket.number <= 0:
            return self._secret_place(view, ticket, age_s)
        ahead = waits_at(view.digest, ticket.number, view.gone)
        if ahead is None or ahead < callable_since(view.digest, (age_s + SEEN_WITHIN_S) * 1000):
            return None
        return self._place(view, ticket.number, ahead, age_s)

    def place_while_away(self, ticket: Ticket) -> Place | None:
        """The place of a ticket that waited when Redis was last heard of, if that is not too long ago."""
        view = self._views.get(ticket.sale_id)
        if view is None or ticket.store_id != view.digest.store_id:
            return None
        return self._place_while_away(view, ticket, self._clock() - view.seen_s)

    def _place_while_away(self, view: _View, ticket: Ticket, age_s: float) -> Place | None:
        """Who joined just before counts behind all others; the estimate would be made of what nobody knows any more."""
        if age_s >= AWAY_FOR_S:
            return None
        if is_secret(view.digest) or ticket.number <= 0:
            return self._secret_place(view, ticket, age_s)
        number = ticket.number
        joined_since = number > view.digest.last_score and number not in view.gone
        ahead = locate(view.digest, number) if joined_since else waits_at(view.digest, number, view.gone)
        if ahead is None:
            return None
        place = self._place(view, number, ahead, age_s)
        was = place.estimate
        return place if was is None else msgspec.structs.replace(place, estimate=_without_range(was))

    def _secret_place(self, view: _View, ticket: Ticket, age_s: float) -> Place | None:
        """Before a draw whoever has not left waits; after it, only Redis knows the number of a ticket that shows none."""
        if not is_secret(view.digest) or ticket.number > 0 or ticket.ticket_id in view.gone:
            return None
        now_ms = view.digest.now_ms + int(age_s * 1000)
        return view.scene.secret_place(ticket.number, now_ms, self._polls, self._chance())

    def _place(self, view: _View, number: int, ahead: int, age_s: float) -> Place:
        now_ms = view.digest.now_ms + int(age_s * 1000)
        return view.scene.place(number, ahead, now_ms, self._polls, self._chance())


def _without_range(was: Estimate) -> Estimate:
    """Nobody can say how long. That the line stood still is the last that is known of it, and stays on the pages."""
    return Estimate(None, None, was.reason, was.reason_at_ms) if was.reason in _STANDSTILLS else _NOBODY_KNOWS

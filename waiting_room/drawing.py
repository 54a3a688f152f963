"""Drawing: from the opening of a draw to the first call. The leader's clerk does it, some of it at a time.

The lobby is stored page by page in the order of its scores, list and seed are made public, then every place becomes its number.
Each step may be done again, by this leader or another: a page that is stored stays, a list that is public stays, a ticket that has
its number is passed over. So a draw goes on from wherever a killed leader left it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import msgspec
import structlog

from waiting_room.books import Books, DrawBook, ListEnd
from waiting_room.draw import DrawList, lot
from waiting_room.room import Room
from waiting_room.ticking import TickReply

log = structlog.get_logger(__name__)

PAGE = 4_000  # of the list: 60,000 bytes, what the books take
# How many tickets one script reads or numbers: so few that it keeps Redis for a few milliseconds even while a rewrite of the
# append-only file makes every page that is written to a copy.
AT_ONCE = 500
# The clerk has other books to do: after so long it looks after them, and goes on with the draw.
SLICE_S = 0.25
# With more tickets than these without a number the list is gone through; fewer are looked up in it one by one.
MANY = 1_000


class _Tickets(msgspec.Struct):
    tickets: str


def is_under_way(reply: TickReply) -> bool:
    """Whether a draw waits for its leader to go on."""
    return reply.draw in ("drawing", "listed") or reply.unnumbered > 0


class Drawing:
    """One leader's part in the draw of one sale; `token` holds its lease."""

    def __init__(self, sale_id: str, room: Room, books: Books, *, token: str) -> None:
        self._sale_id = sale_id
        self._room = room
        self._books = books
        self._token = token
        self._log = log.bind(sale_id=sale_id)
        self._list: DrawList | None = None
        self._numbered: int | None = None  # up to where the list was gone through in this store
        self._store_id = ""

    async def go_on(self, reply: TickReply) -> bool:
        """Draw on for a while, as of the last tick; whether there is more to do at once.

        Raises RoomUnavailable, or what the books raise; it may be done again at any time.
        """
        if reply.store_id != self._store_id:
            self._store_id, self._numbered = reply.store_id, None
        if not is_under_way(reply):
            return False
        book = await self._books.draw(self._sale_id)
        if book is None:
            return False
        if book.size is None:
            return await self._store(book, reply.opened_ms)
        return await self._number(book)

    # ------------------------------------------------------------ the list

    async def _store(self, book: DrawBook, opened_ms: int) -> bool:
        if book.opened_ms is None:
            await self._books.note_opened(self._sale_id, opened_ms)
        until = time.monotonic() + SLICE_S
        end = await self._books.list_end(self._sale_id)
        while True:
            page = await self._read_page(book.seed, end.last)
            if page is None:
                return False
            if not page:
                await self._publish(end)
                return True
            # Told by the books: where another leader has stored this page before, it is that one's.
            end = await self._books.add_to_list(self._sale_id, end, page)
            if time.monotonic() > until:
                return True

    async def _read_page(self, seed: bytes, last: str) -> str | None:
        """The next page behind the ticket `last`, "" at the end of the lobby; None when this is not the time."""
        page: list[str] = []
        while len(page) < PAGE:
            after = lot(seed, last) if last else -2
            part = await self._step("lobby", after, last, min(AT_ONCE, PAGE - len(page)))
            if part is None:
                return None
            if not part:
                break
            page += part.splitlines(keepends=True)
            last = page[-1].rstrip()
        return "".join(page)

    async def _publish(self, end: ListEnd) -> None:
        await self._books.publish_list(self._sale_id, end)
        self._log.info("list_published", tickets=end.tickets)

    # ------------------------------------------------------------ the numbers

    async def _number(self, book: DrawBook) -> bool:
        drawn = await self._public_list(book)
        left = await self._give(drawn)
        until = time.monotonic() + SLICE_S
        while left:
            if left > MANY and self._numbered != len(drawn):
                left = await self._go_through(drawn)
            else:
                left = await self._look_up(drawn)
            if time.monotonic() > until:
                break
        if left is None:
            return False
        return bool(left) or await self._arrivals_follow()

    async def _arrivals_follow(self) -> bool:
        """Give some of those who came after the opening their numbers; whether there are more."""
        answer = await self._room.draw_step("drawn", self._sale_id, self._token, AT_ONCE)
        return answer == "more"

    async def _public_list(self, book: DrawBook) -> DrawList:
        if self._list is None:
            self._list = DrawList(book.seed, await self._books.list_text(self._sale_id))
        return self._list

    async def _go_through(self, drawn: DrawList) -> int | None:
        """Number the next tickets of the list. A new leader begins with the first one in the line that has no number."""
        if self._numbered is None:
            found = await self._step("unnumbered", 1)
            self._numbered = max(0, int(drawn.place(found.strip())) - 1) if found else 0
        first = self._numbered
        last = min(first + AT_ONCE, len(drawn))
        left = await self._give(drawn, part=(first, last))
        self._numbered = last
        return left

    async def _look_up(self, drawn: DrawList) -> int | None:
        """Number some that stand without one."""
        found = await self._step("unnumbered", AT_ONCE)
        if found is None:
            return None
        return await self._give(drawn, [(ticket, drawn.place(ticket)) for ticket in found.splitlines()])

    async def _give(
        self, drawn: DrawList, places: Sequence[tuple[str, float]] = (), *, part: tuple[int, int] = (0, 0)
    ) -> int | None:
        """Give places to these tickets and to a part of the list; how many have none yet, None when this is not the time."""
        pairs = [word for ticket, place in places for word in (ticket, repr(place))]
        first, listed = part[0] + 1, drawn.part(*part)
        answer = await self._room.draw_step(
            "number", self._sale_id, self._token, len(drawn), first, listed, *pairs
        )
        if answer.isdecimal():
            return int(answer)
        self._log.warning("not_numbered", answer=answer)
        return None

    async def _step(self, script: Literal["lobby", "unnumbered"], *args: str | int) -> str | None:
        """The tickets that a script has read, one a line; None when this is not the time."""
        answer = await self._room.draw_step(script, self._sale_id, self._token, *args)
        if answer.startswith("{"):
            return msgspec.json.decode(answer, type=_Tickets).tickets
        self._log.warning("not_drawn", answer=answer)
        return None

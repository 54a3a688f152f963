"""What the room wants from the books, which are kept elsewhere: a port. `firstcome` fills it with the shop and the publisher.

An implementation may raise anything when its database does not answer; the controller logs it and asks again later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from waiting_room.recovery import OrderRow
from waiting_room.ticking import CallRow


@dataclass(frozen=True, slots=True)
class SaleRef:
    """A sale that needs a leader: from its lobby until nobody holds a turn, a pass or a live order any more."""

    sale_id: str


@dataclass(frozen=True, slots=True)
class DrawBook:
    """What is kept of a draw: its secret seed, when it was opened (unix ms, None before), the length of its list once that is
    public (None before).
    """

    seed: bytes = field(repr=False)
    opened_ms: int | None = None
    size: int | None = None

    @property
    def stage(self) -> Literal["lobby", "opened", "listed"]:
        """How far it has come."""
        if self.size is not None:
            return "listed"
        return "lobby" if self.opened_ms is None else "opened"


@dataclass(frozen=True, slots=True)
class ListEnd:
    """How far a list was stored: whole pages, tickets on them, and the last one ("" for none)."""

    pages: int = 0
    tickets: int = 0
    last: str = ""


class Books(Protocol):
    async def live_sales(self) -> Sequence[SaleRef]:
        """All sales that need a leader just now."""
        ...

    async def publish(self, sale_id: str) -> None:
        """Lay settings, stock and lane mark of the sale into the store again."""
        ...

    async def next_block(self, sale_id: str, size: int) -> tuple[int, int]:
        """Take the next `size` numbers of the sale for ever: first and last, above all that were taken before."""
        ...

    async def copy_calls(self, sale_id: str, rows: Sequence[CallRow]) -> None:
        """Keep these entries of the call log; those that are kept already change nothing."""
        ...

    async def note_copied(self, sale_id: str, at_ms: int) -> None:
        """Keep that the copied call log is whole up to this moment (unix ms)."""
        ...

    async def note_numbers(self, sale_id: str, given: int, at_ms: int) -> None:
        """Keep that numbers up to `given` had been given by then (unix ms); what was noted of a number first stays."""
        ...

    async def whole_until(self, sale_id: str) -> int | None:
        """Until when the copied call log is whole (unix ms), None before the first copy."""
        ...

    async def calls_after(self, sale_id: str, entry_id: str, count: int) -> Sequence[CallRow]:
        """Up to `count` copied entries after this one ("" for the first), in the order of the log."""
        ...

    async def draw(self, sale_id: str) -> DrawBook | None:
        """What is kept of the sale's draw; None for a FIFO sale."""
        ...

    async def note_opened(self, sale_id: str, at_ms: int) -> None:
        """Keep when the draw was opened (unix ms); the first time stays."""
        ...

    async def list_end(self, sale_id: str) -> ListEnd:
        """How far the draw's list was stored."""
        ...

    async def add_to_list(self, sale_id: str, end: ListEnd, tickets: str) -> ListEnd:
        """Store the page behind this end, an id a line; one that is there stays as it is. Where the list ends with it."""
        ...

    async def publish_list(self, sale_id: str, end: ListEnd) -> None:
        """Make list and seed public, once and for ever, if the list still ends there; else change nothing."""
        ...

    async def list_text(self, sale_id: str) -> bytes:
        """The whole list, an id a line."""
        ...

    async def orders_after(self, sale_id: str, order_id: str, count: int) -> Sequence[OrderRow]:
        """Up to `count` orders that were not rejected, after this one ("" for the first), by their ids."""
        ...

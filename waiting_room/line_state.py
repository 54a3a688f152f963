"""The state of a whole line, the same for everybody: what `/line`, the landing pages and the operator's figures are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from waiting_room.window import Phase, SaleSettings, Stock, phase

ITEM_PREFIX = "item:"


class RoomFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The room's own state, as its scripts keep it. Moments of `…_since_ms` and `…_lowered_ms` are unix ms, 0 for never."""

    store_id: str
    clock_ms: int
    comeback_ms: int
    now_serving: int
    window_sum: int
    turns_ended: int
    no_shows: int
    calling_ms: int
    gate: str
    gate_since_ms: int
    limit: str
    limit_since_ms: int
    rate_lowered_ms: int
    capacity_lowered_ms: int
    draw: str = ""


class LineReply(msgspec.Struct, frozen=True, kw_only=True):
    """What line.lua answers."""

    settings: dict[str, str]
    now_ms: int
    confirmed: bool
    leader: bool
    stock: dict[str, str] = {}
    phase: Phase | None = None
    room: RoomFigures | None = None
    waiting: int = 0
    called: int = 0
    missed: int = 0
    shopping: int = 0
    ordering: int = 0


@dataclass(frozen=True, slots=True)
class ItemStock:
    """One product's part of the stock copy."""

    stock: Stock
    limit_per_buyer: int


@dataclass(frozen=True, slots=True)
class LineState:
    """A sale and its line at `now_ms` (unix ms). While not `confirmed` all figures are 0 and `store_id` is None.

    `draw` is the stage of a draw: lobby, gathering, drawing, listed or drawn, "" in a FIFO sale.
    """

    sale_id: str
    settings: SaleSettings
    stock: Stock
    items: Mapping[str, ItemStock]
    phase: Phase
    now_ms: int
    confirmed: bool
    leader: bool
    store_id: str | None = None
    clock_ms: int = 0
    now_serving: int = 0
    waiting: int = 0
    called: int = 0
    missed: int = 0
    shopping: int = 0
    ordering: int = 0
    calls_last_minute: int = 0
    gate: str = ""
    gate_since_ms: int = 0
    limit: str = "none"
    limit_since_ms: int = 0
    turns_ended: int = 0
    no_shows: int = 0
    draw: str = ""

    @property
    def admitted(self) -> int:
        """Everybody in checkout, with or without a live order."""
        return self.shopping + self.ordering


def line_state(sale_id: str, reply: LineReply) -> LineState:
    """Raises ValueError when the copy of the settings is malformed."""
    settings = SaleSettings.from_fields(reply.settings)
    stock = _stock(reply.stock)
    state = LineState(
        sale_id=sale_id,
        settings=settings,
        stock=stock,
        items=_items(reply.stock),
        phase=reply.phase or phase(settings, stock, reply.now_ms),
        now_ms=reply.now_ms,
        confirmed=reply.confirmed,
        leader=reply.leader,
    )
    return state if reply.room is None else _with_figures(state, reply, reply.room)


def _with_figures(state: LineState, reply: LineReply, room: RoomFigures) -> LineState:
    return LineState(
        sale_id=state.sale_id,
        settings=state.settings,
        stock=state.stock,
        items=state.items,
        phase=state.phase,
        now_ms=state.now_ms,
        confirmed=state.confirmed,
        leader=state.leader,
        store_id=room.store_id,
        clock_ms=room.clock_ms,
        now_serving=room.now_serving,
        waiting=reply.waiting,
        called=reply.called,
        missed=reply.missed,
        shopping=reply.shopping,
        ordering=reply.ordering,
        calls_last_minute=room.window_sum,
        gate=room.gate,
        gate_since_ms=room.gate_since_ms,
        limit=room.limit,
        limit_since_ms=room.limit_since_ms,
        turns_ended=room.turns_ended,
        no_shows=room.no_shows,
        draw=room.draw,
    )


def _stock(fields: Mapping[str, str]) -> Stock:
    if not {"allotted", "held", "sold"} <= fields.keys():
        return Stock.unknown()
    return Stock(int(fields["allotted"]), int(fields["held"]), int(fields["sold"]))


def _items(fields: Mapping[str, str]) -> dict[str, ItemStock]:
    items: dict[str, ItemStock] = {}
    for name, value in fields.items():
        if name.startswith(ITEM_PREFIX):
            allotted, held, sold, limit = (int(part) for part in value.split(":"))
            items[name.removeprefix(ITEM_PREFIX)] = ItemStock(Stock(allotted, held, sold), limit)
    return items

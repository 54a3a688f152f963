"""What a sale may be and what an operator may do to it. Pure.

`control` is the operator's word; the phase that buyers see follows from it, the times and the stock, elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from shop.errors import FieldFault, IllegalMove, Refused

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_SLUG = 64
LONGEST_TITLE = 200
LONGEST_MESSAGE = 500
MOST_ITEMS = 100
MOST_PER_MINUTE = 1_000_000
LONGEST_S = 7 * 24 * 3600
HIGHEST_PRICE = 10**12
MOST_UNITS = 10_000_000
MOST_MINUTES = 120
LONGEST_REASON = 200
# A year outside these is a slip of the keyboard, and near the ends of what a computer can count no time can be added to it.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

FIFO, DRAW = "fifo", "draw"
MODES = (FIFO, DRAW)
TIMES = ("lobby_opens_at", "opens_at", "closes_at")


class Control(StrEnum):
    """The operator's word about a sale."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    DRAINING = "draining"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """What an operator does to a sale."""

    PUBLISH = "publish"
    OPEN = "open"
    PAUSE = "pause"
    HALT = "halt"
    RESUME = "resume"
    DRAIN = "drain"
    CLOSE = "close"
    CANCEL = "cancel"
    SET_RATE = "set-rate"
    SET_CAPACITY = "set-capacity"
    ANNOUNCE = "announce"
    EXTEND_HOLDS = "extend-holds"


_C = Control
ENDED = frozenset({_C.CLOSED, _C.CANCELLED})
_GOING_ON = (_C.RUNNING, _C.PAUSED, _C.HALTED, _C.DRAINING)
# Per action: the control that each control becomes; what is not listed is refused.
ACTIONS: Mapping[Action, Mapping[Control, Control]] = {
    Action.PUBLISH: {_C.DRAFT: _C.RUNNING},
    Action.OPEN: {_C.RUNNING: _C.RUNNING},
    Action.PAUSE: {_C.RUNNING: _C.PAUSED},
    Action.HALT: dict.fromkeys((_C.RUNNING, _C.PAUSED, _C.DRAINING), _C.HALTED),
    Action.RESUME: dict.fromkeys((_C.PAUSED, _C.HALTED, _C.DRAINING), _C.RUNNING),
    Action.DRAIN: dict.fromkeys((_C.RUNNING, _C.PAUSED), _C.DRAINING),
    Action.CLOSE: dict.fromkeys(_GOING_ON, _C.CLOSED),
    Action.CANCEL: dict.fromkeys((_C.DRAFT, *_GOING_ON), _C.CANCELLED),
    Action.SET_RATE: {control: control for control in (_C.DRAFT, *_GOING_ON)},
    Action.SET_CAPACITY: {control: control for control in (_C.DRAFT, *_GOING_ON)},
    Action.ANNOUNCE: {control: control for control in _C},
    # After the end as well: who had ordered by then may still be paying.
    Action.EXTEND_HOLDS: {control: control for control in (*_GOING_ON, _C.CLOSED)},
}

# Units may be put into a sale, or taken out of it, until what is left over goes back to the shelf.
ALLOTTABLE = frozenset({_C.DRAFT, *_GOING_ON})

# What the last buyer called may still use up after a sale's end, in turn windows: the turn, extended once, and, after a miss
# and the way back, another such turn.
TURNS_AFTER_END = 4

# Buyers have been told these; from the lobby's opening on they stay.
FROZEN_FIELDS = frozenset({"slug", "mode", "items", "lobby_opens_at"})


class UnknownSale(Refused):
    """There is no such sale."""


class StaleVersion(Refused):
    """The sale was changed since that version was read; `current` is the present one."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the sale is at version {current}")
        self.current = current


class SaleFrozen(Refused):
    """These fields may no longer change."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__("no longer to be changed: " + ", ".join(fields))
        self.fields = tuple(fields)


class NotInSale(Refused):
    """The sale does not offer this product."""


class StaleCount(Refused):
    """The shelf holds another number of units than whoever asked has seen; `current` is the present one."""

    def __init__(self, current: int) -> None:
        super().__init__(f"there are {current} units on hand now")
        self.current = current


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDraft:
    """A product to be sold; `price` in minor units, the product's own if None."""

    product_id: str
    allotted: int
    limit_per_buyer: int
    price: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleDraft:
    """A sale as an operator asks for it. Durations in seconds; `over_call_limit` 1 = nobody is called beyond the free units.

    `guests`: a device may wait without an account; `challenge`: everybody solves one to join, not only crowded addresses.
    """

    slug: str
    title: str
    lobby_opens_at: datetime
    opens_at: datetime
    closes_at: datetime
    items: tuple[ItemDraft, ...]
    mode: str = FIFO
    calls_per_minute: int = 600
    capacity: int = 200
    turn_window_s: int = 120
    comeback_s: int = 600
    hold_s: int = 600
    pass_s: int = 600
    over_call_limit: float = 1.0
    message_ko: str | None = None
    message_en: str | None = None
    guests: bool = False
    challenge: bool = False
    draft: bool = False


def next_control(action: Action, current: Control) -> Control:
    """The control after an action, or `IllegalMove` naming the control and the action."""
    if current not in ACTIONS[action]:
        raise IllegalMove("sale", current, action)
    return ACTIONS[action][current]


def frozen_fields(
    control: Control, lobby_opens_at: datetime, opens_at: datetime, closes_at: datetime, now: datetime
) -> frozenset[str]:
    """The fields of a sale that no longer change."""
    if control in ENDED or now >= closes_at:
        return frozenset(
            SaleDraft.__dataclass_fields__
        )  # it does not begin again: its stock goes back to the shelf
    if control is Control.DRAFT:
        return frozenset({"draft"})  # nobody has been told anything
    told = FROZEN_FIELDS if now >= lobby_opens_at else frozenset()
    return frozenset({"draft"}) | told | ({"opens_at"} if now >= opens_at else frozenset())


def reason_faults(text: str) -> list[FieldFault]:
    """Why something was done is for others to read: a few words, on one line."""
    if len(text.strip()) >= 1 and len(text) <= LONGEST_REASON and text.isprintable():
        return []
    return [FieldFault("reason", f"must say why, in 1 to {LONGEST_REASON} characters on one line")]


def sale_faults(draft: SaleDraft, *, min_turn_window_s: float) -> list[FieldFault]:
    """Everything that is wrong with a sale as such, every bad field at once. Stock and products are checked elsewhere."""
    return [
        *_name_faults(draft),
        *_time_faults(draft),
        *_number_faults(draft, min_turn_window_s),
        *_item_faults(draft),
    ]


def _name_faults(draft: SaleDraft) -> Iterator[FieldFault]:
    if len(draft.slug) > LONGEST_SLUG or not SLUG.fullmatch(draft.slug):
        yield FieldFault("slug", f"must be up to {LONGEST_SLUG} of a-z, 0-9 and single hyphens between them")
    if not draft.title.strip() or len(draft.title) > LONGEST_TITLE:
        yield FieldFault("title", f"must have 1 to {LONGEST_TITLE} characters")
    if draft.mode not in MODES:
        yield FieldFault("mode", "must be " + " or ".join(MODES))
    if draft.guests and draft.mode != "fifo":
        yield FieldFault("guests", "must be false in a draw, where every device would be another lot")
    for field, text in (("message.ko", draft.message_ko), ("message.en", draft.message_en)):
        if text is not None and len(text) > LONGEST_MESSAGE:
            yield FieldFault(field, f"must have at most {LONGEST_MESSAGE} characters")


def _time_faults(draft: SaleDraft) -> Iterator[FieldFault]:
    strange = [name for name in TIMES if not EARLIEST <= getattr(draft, name) < LATEST]
    if strange:
        yield from (
            FieldFault(name, f"must be from {EARLIEST.year} to {LATEST.year - 1}") for name in strange
        )
        return
    if draft.lobby_opens_at > draft.opens_at:
        yield FieldFault("lobby_opens_at", "must not be after opens_at")
    if draft.opens_at >= draft.closes_at:
        yield FieldFault("closes_at", "must be after opens_at")


def _number_faults(draft: SaleDraft, min_turn_window_s: float) -> Iterator[FieldFault]:
    limits: tuple[tuple[str, float, float, float], ...] = (
        ("calls_per_minute", draft.calls_per_minute, 1, MOST_PER_MINUTE),
        ("capacity", draft.capacity, 1, MOST_PER_MINUTE),
        ("turn_window_s", draft.turn_window_s, max(1, min_turn_window_s), LONGEST_S),
        ("comeback_s", draft.comeback_s, 0, LONGEST_S),
        ("hold_s", draft.hold_s, 1, LONGEST_S),
        ("pass_s", draft.pass_s, 1, LONGEST_S),
        ("over_call_limit", draft.over_call_limit, 1, 2),
    )
    for field, value, least, most in limits:
        if not least <= value <= most:
            yield FieldFault(field, f"must be from {least:g} to {most:g}")


def _item_faults(draft: SaleDraft) -> Iterator[FieldFault]:
    if not 1 <= len(draft.items) <= MOST_ITEMS:
        yield FieldFault("items", f"must name 1 to {MOST_ITEMS} products")
    seen: set[str] = set()
    for place, item in enumerate(draft.items):
        if item.product_id in seen:
            yield FieldFault(f"items.{place}.product_id", "must be named once only")
        seen.add(item.product_id)
        if not 0 <= item.allotted <= MOST_UNITS:
            yield FieldFault(f"items.{place}.allotted", f"must be from 0 to {MOST_UNITS}")
        if not 1 <= item.limit_per_buyer <= MOST_UNITS:
            yield FieldFault(f"items.{place}.limit_per_buyer", f"must be from 1 to {MOST_UNITS}")
        if item.price is not None and not 0 <= item.price <= HIGHEST_PRICE:
            yield FieldFault(f"items.{place}.price", f"must be from 0 to {HIGHEST_PRICE}")

"""The waiting room once more, in plain Python: one thread, one dictionary of places, no Redis. What the scripts are compared with.

It reads like the design: a place is waiting, called, missed, admitted or over, and every step says what becomes of it. `now_ms` is the
wall clock as this step reads it. Answers are dictionaries of what the buyer or the leader is told, refusals the name of their class.
What the call log tells after a loss is folded by `waiting_room.recovery.Ledger`, which has tests of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tests.model.drawing import Listed, stage_after_loss
from tests.model.places import Answer, Place, Settings, Shown
from tests.model.turns import MINUTE_MS, Turns
from waiting_room.recovery import Served

__all__ = ["Answer", "Room", "Settings", "Shown"]

GRACE_MS = 30_000
UNWRITTEN_MS = 2_000


@dataclass
class Room(Turns):
    """One sale's room: places, their turns, and what becomes of both when the store is lost."""

    def give_block(self, first: int, last: int) -> str:
        if not self.leader:
            return "not_leader"
        if self.store_id is None:
            return "unconfirmed"
        if self.spare is not None:
            return "not_needed"
        if first <= self.last_number:
            return "stale"
        self.spare = (first, last)
        return "laid"

    # ------------------------------------------------------------ a loss, and after it

    def lose(self) -> Room:
        """An emptied store knows nothing but what will be published again."""
        return Room(self.settings, self.unseen_ms, self.polls_ceiling_ms, self.slot_grace_ms)

    def confirm(
        self,
        store_id: str,
        block: tuple[int, int],
        told: Iterable[Served],
        copied_ms: int | None,
        now_ms: int,
        book: Listed | None = None,
    ) -> None:
        """The leader tells the store what the books know, then it may be used again, with numbers never given before."""
        told = list(told)
        for served in told:
            self._lay(served, now_ms)
        first = block[0]
        (self.next_number, self.last_number), self.spare = block, None
        self.turns_before = 2 * first if first > 1 else 0
        self.store_id = store_id
        if told or copied_ms is not None:  # else the line begins: nothing was ever known of it
            self.lost_ms, self.settled_ms = now_ms, now_ms + self.polls_ceiling_ms
            self._count_unknown_slots(copied_ms or 0, now_ms)
        if book is not None:
            stage_after_loss(self, book)

    def _count_unknown_slots(self, copied_ms: int, now_ms: int) -> None:
        """As many as the rate allowed while nobody kept count, for one pass life and a little."""
        since, till = copied_ms, now_ms
        if copied_ms and self.wall_ms + UNWRITTEN_MS >= copied_ms:  # the store came back with its data
            since = max(copied_ms, self.wall_ms)
            till = min(now_ms, since + UNWRITTEN_MS)
        span = max(0, min(till, self.settings.closes_at_ms) - max(since, self.settings.opens_at_ms))
        slots = math.ceil(self.settings.calls_per_minute * span / MINUTE_MS)
        until_ms = self.clock_ms + self.settings.pass_ms + GRACE_MS
        if self.clock_ms < self.unknown_until_ms:
            until_ms = until_ms if slots else self.unknown_until_ms
            slots += self.unknown_slots
        self.unknown_slots, self.unknown_until_ms = min(self.settings.capacity, slots), until_ms
        self.quiet_until_ms = 0

    def _lay(self, told: Served, now_ms: int) -> None:
        """What the books tell of a ticket, unless the store itself knows something later."""
        ticket, known = told.ticket_id, self.places.get(told.ticket_id)
        self.now_serving = max(self.now_serving, told.called)
        jti = f"{ticket}.{told.turn}"
        mark = _given(told.order_id) or (
            _given(told.iat) and {"left": "left", "lapsed": "expired"}.get(told.state)
        )
        if mark:
            self.passes.setdefault(jti, str(mark))
        recorded = known is not None and known.recorded
        if known is not None and recorded and _rank_of_told(told) <= _rank(known):
            return
        same_turn = known if known is not None and recorded and known.turn == told.turn else Place("", 0)
        place = replace(
            same_turn, state=told.state, turn=told.turn, misses=told.misses, extended=False, recorded=True
        )
        place.number = told.number or same_turn.number
        place.outcome = _given(told.outcome)
        place.ended = max(told.ended, (known.ended or 0) if known is not None and recorded else 0) or None
        place.turn_ends_ms = place.unseen_ends_ms = place.comeback_ends_ms = place.pass_ends_ms = None
        if told.state in ("admitted", "done"):
            place.jti = jti
            place.iat = _given(told.iat) or place.iat or now_ms // 1000
            place.exp = _given(told.exp) or place.exp or place.iat + math.ceil(self.settings.pass_ms / 1000)
            place.kid = _given(told.kid) or place.kid
            place.slot_ms = self.clock_ms + max(0, place.exp * 1000 - now_ms)
        place.stands = told.number if told.state == "waiting" else None
        self.ordering.pop(ticket, None)
        if told.state == "called":
            place.turn_ends_ms = self.clock_ms + self.settings.turn_window_ms
        elif told.state == "missed":
            place.comeback_ends_ms = self.comeback_ms + self.settings.comeback_ms
        elif told.state == "admitted" and _given(told.order_id):
            self.ordering[ticket] = self.clock_ms + self.settings.hold_ms + GRACE_MS
        elif told.state == "admitted":
            place.pass_ends_ms = place.slot_ms
        self.places[ticket] = place


def _given(value: Any) -> Any:
    """None for a field that a record leaves out."""
    return value if isinstance(value, (str, int)) else None


_RANKS = {
    "called": 1.0,
    "admitted": 2.0,
    "missed": 3.0,
    "left": 4.0,
    "lapsed": 4.0,
    "done": 4.0,
    "waiting": 5.0,
}


def _rank_of_told(told: Served) -> tuple[int, float]:
    """How far a ticket has come: its turn, and how far within it. A live order is later than its pass."""
    rank = _RANKS[told.state]
    if told.state == "admitted" and _given(told.order_id):
        rank = 2.5
    if told.state == "done" and told.outcome == "paid":
        rank = 4.5
    return told.turn, rank


def _rank(place: Place) -> tuple[int, float]:
    return place.turn, 4.5 if place.outcome == "paid" and place.state == "done" else _RANKS[place.state]

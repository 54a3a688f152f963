"""Of the reference: the tick, which moves the clocks, ends what is over and calls the head of the line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tests.model import drawing
from tests.model.places import Answer, Place, Places
from waiting_room.ticking import Beat

MINUTE_MS = 60_000
LONGEST_STEP_MS = 1_000


@dataclass
class Turns(Places):
    """Places that are called in their turn."""

    def tick(self, beat: Beat, now_ms: int, *, leads: bool = True) -> Answer:
        if not (leads and self.leader):
            return "not_leader"
        if self.store_id is None:
            return "unconfirmed"
        if not self.published:
            return "unpublished"
        if self.last_tick is not None and self.last_tick[0] == beat.tick_id:
            return self.last_tick[1]
        settings, control = self.settings, self.settings.control
        dt = max(0, min(LONGEST_STEP_MS, beat.dt_ms))
        self.clock_ms += dt if control != "halted" else 0
        self.comeback_ms += dt if control not in ("halted", "paused") else 0
        self.wall_ms = max(self.wall_ms, now_ms)
        drawing.open_the_draw(self)
        while self.outcomes:
            self._take_outcome(self.outcomes.popleft())
        self._end_what_is_over()
        while self.window and self.window[0][0] <= self.clock_ms - MINUTE_MS:
            self.window.popleft()
        without_number = len(self.in_lobby()) if self.has_list else 0
        gate = self._gate(now_ms, without_number)
        freed = max(0, self.slots - self.slots_held)
        calls = self._call_head(beat, gate)
        self.slots = self.slots_held
        if calls or freed:
            self.window.append((self.clock_ms, calls, freed))
        self._note_reasons(gate, now_ms)
        self.last_settings = (settings.calls_per_minute, settings.capacity, control)
        reply = self.figures(now_ms) | {"calls": calls, "tick_id": beat.tick_id, "unnumbered": without_number}
        self.last_tick = (beat.tick_id, reply)
        return reply

    def _take_outcome(self, word: str) -> None:
        jti, _, outcome = word.partition(" ")
        ticket, _, turn = jti.rpartition(".")
        place = self.places.get(ticket)
        if place is None or not place.recorded:  # admitted by a store that was lost
            if outcome != "rejected":
                self.ordering.pop(ticket, None)
        elif place.turn != int(
            turn
        ):  # an earlier turn: an order of a lost store may hold a slot, the own one stays
            own = place.state == "admitted" and place.jti in self.passes
            if outcome != "rejected" and not own:
                self.ordering.pop(ticket, None)
        elif place.state == "admitted" and outcome == "rejected":
            if place.jti not in self.passes and self.ordering.pop(ticket, None) is not None:
                place.pass_ends_ms = place.slot_ms
        elif outcome != "rejected":
            late = place.state == "done" and outcome == "paid" and place.outcome != "paid"
            if place.state == "admitted" or late:
                if not late:
                    self.ordering.pop(ticket, None)
                self._finish(ticket, place, outcome)

    def _finish(self, ticket: str, place: Place, outcome: str) -> None:
        self._end(place, "done")
        place.outcome = outcome
        self._note("free", ticket, place, outcome)

    def _lapse(self, ticket: str, place: Place, why: str) -> None:
        self._end(place, "lapsed")
        self._note("lapse", ticket, place, why)

    def _due(self, deadline: str, clock_ms: int) -> list[tuple[str, Place]]:
        ends = [(getattr(place, deadline), ticket) for ticket, place in self.places.items()]
        due = sorted(pair for pair in ends if pair[0] is not None and pair[0] <= clock_ms)
        return [(ticket, self.places[ticket]) for _, ticket in due]

    def _end_what_is_over(self) -> None:
        for ticket, place in self._due("turn_ends_ms", self.clock_ms):
            self._miss(ticket, place, "turn_over")
        for ticket, place in self._due("unseen_ends_ms", self.clock_ms):
            self._miss(ticket, place, "unseen")
        for ticket, place in self._due("comeback_ends_ms", self.comeback_ms):
            self._lapse(ticket, place, "comeback_over")
        for ticket, place in self._due("pass_ends_ms", self.clock_ms):
            self.passes[str(place.jti)] = "expired"
            self.no_shows += 1
            self._lapse(ticket, place, "pass_unused")
        for ticket in sorted(self.ordering, key=lambda ticket: (self.ordering[ticket], ticket)):
            if self.ordering[ticket] <= self.clock_ms:
                del self.ordering[ticket]
                known = self.places.get(ticket)
                if known is not None and known.state == "admitted" and known.pass_ends_ms is None:
                    self._finish(ticket, known, "ended")

    def _miss(self, ticket: str, place: Place, why: str) -> None:
        """The slot is free at once; the first miss may be made good, the second lapses."""
        place.misses += 1
        self.turns_ended, self.no_shows = self.turns_ended + 1, self.no_shows + 1
        if place.misses >= 2:
            self._lapse(ticket, place, why)
            return
        place.state, place.turn_ends_ms, place.unseen_ends_ms = "missed", None, None
        place.comeback_ends_ms = self.comeback_ms + self.settings.comeback_ms
        self._note("miss", ticket, place, why)

    def _gate(self, now_ms: int, without_number: int) -> str:
        """Why nobody may be called, or "open". A draining sale goes on calling those who stand in line.

        Before everybody in a draw has a number nobody knows who is next.
        """
        gate = self.phase(now_ms)
        if gate == "draining":
            if self.wall_ms < self.opens_at_ms or self.draw == "lobby":
                return "lobby"
            none_free = self.settings.held + self.settings.sold >= self.settings.allotted
            gate = "all_held" if none_free else "open"
        undrawn = self.draw and (self.draw != "drawn" or without_number)
        return "drawing" if gate == "open" and undrawn else gate

    @property
    def slots_held(self) -> int:
        return self.in_state("turn_ends_ms") + self.in_state("pass_ends_ms") + len(self.ordering)

    @property
    def slots_taken(self) -> int:
        unknown = self.unknown_slots if self.clock_ms < self.unknown_until_ms else 0
        return unknown + self.slots_held

    def _is_quiet(self) -> bool:
        """After a loss without its log nobody is called, until an operator resumes."""
        if self.clock_ms >= self.quiet_until_ms:
            return False
        was = self.last_settings[2] if self.last_settings else ""
        if self.settings.control == "running" and was in ("paused", "halted", "draining"):
            self.quiet_until_ms = 0
            return False
        return True

    def _call_head(self, beat: Beat, gate: str) -> int:
        allowed, line, quiet = beat.allowance, self.line(), self._is_quiet()
        by_capacity = self.settings.capacity - self.slots_taken
        by_window = self.settings.calls_per_minute - sum(calls for _, calls, _ in self.window)
        limit = "rate"
        if beat.hold:
            limit = beat.hold
        elif not line:
            limit = "none"
        elif quiet:
            limit = "rebuilding"
        elif by_capacity <= 0:
            limit = "capacity"
        elif allowed.stock <= 0:
            limit = "stock"
        elif allowed.backlog <= 0:
            limit = "backlog"
        self._limit_now = limit
        count = min(len(line), by_capacity, by_window, allowed.rate, allowed.stock, allowed.backlog)
        if gate != "open" or quiet or beat.hold or count <= 0:
            return 0
        for ticket in line[:count]:
            self._call(ticket)
        return count

    def _call(self, ticket: str) -> None:
        place = self.places[ticket]
        turn = max(place.turn, self.turns_before) + 1
        number = place.number if place.stands is None else place.stands
        called = Place("called", number, turn=turn, misses=place.misses, ended=place.ended, recorded=True)
        called.turn_ends_ms = self.clock_ms + self.settings.turn_window_ms
        called.unseen_ends_ms = self.clock_ms + self.unseen_ms
        self.places[ticket] = called
        self.now_serving = max(self.now_serving, math.ceil(number))
        self._note("call", ticket, called)

    def _note_reasons(self, gate: str, now_ms: int) -> None:
        """Since when something makes people wait longer."""
        if gate != self.gate:
            self.gate, self.gate_since_ms = gate, now_ms
        if self._limit_now != self.limit:
            self.limit, self.limit_since_ms = self._limit_now, now_ms
        rate, capacity = self.settings.calls_per_minute, self.settings.capacity
        before = self.last_settings or (rate, capacity, "")
        self.rate_lowered_ms = _lowered_ms(before[0], rate, self.rate_lowered_ms, now_ms)
        self.capacity_lowered_ms = _lowered_ms(before[1], capacity, self.capacity_lowered_ms, now_ms)

    def figures(self, now_ms: int) -> dict[str, Any]:
        return {
            "phase": self.phase(now_ms),
            "gate": self.gate,
            "gate_since_ms": self.gate_since_ms,
            "limit": self.limit,
            "limit_since_ms": self.limit_since_ms,
            "as_of_ms": now_ms,
            "store_id": self.store_id,
            "clock_ms": self.clock_ms,
            "comeback_ms": self.comeback_ms,
            "now_serving": self.now_serving,
            "waiting": len(self.line()),
            "called": self.in_state("turn_ends_ms"),
            "missed": self.in_state("comeback_ends_ms"),
            "shopping": self.in_state("pass_ends_ms"),
            "ordering": len(self.ordering),
            "calls_last_minute": sum(calls for _, calls, _ in self.window),
            "turns_ended": self.turns_ended,
            "no_shows": self.no_shows,
            "next_number": self.next_number,
            "block_left": max(0, self.last_number - self.next_number + 1),
            "spare_ready": self.spare is not None,
            "calls_logged": len(self.log),
            "draw": self.draw,
            "opened_ms": self.opened_ms,
        }


def _lowered_ms(before: int, after: int, since: int, now_ms: int) -> int:
    if after < before:
        return now_ms
    return 0 if after > before else since

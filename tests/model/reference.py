"""The waiting room once more, in plain Python: one thread, one dictionary of places, no Redis. What the scripts are compared with.

It reads like the design: a place is waiting, called, missed, admitted or over, and every step says what becomes of it. `now_ms` is the
wall clock as this step reads it. Answers are dictionaries of what the buyer or the leader is told, refusals the name of their class.
What the call log tells after a loss is folded by `waiting_room.recovery.Ledger`, which has tests of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from waiting_room.recovery import Served
from waiting_room.states import RecordState, visible_state
from waiting_room.ticking import Beat
from waiting_room.window import Phase

MINUTE_MS = 60_000
LONGEST_STEP_MS = 1_000
GRACE_MS = 30_000
UNWRITTEN_MS = 2_000
UNAVAILABLE = "RoomUnavailable"

Answer = dict[str, Any] | str
Shown = tuple[int, str] | None


@dataclass
class Settings:
    """Of the sale's settings what the room goes by; moments in unix ms, durations in ms."""

    control: str
    lobby_opens_at_ms: int
    opens_at_ms: int
    closes_at_ms: int
    calls_per_minute: int
    capacity: int
    turn_window_ms: int
    comeback_ms: int
    pass_ms: int
    hold_ms: int
    allotted: int
    held: int
    sold: int

    def phase(self, now_ms: int) -> str:
        if self.control in ("draft", "cancelled", "closed"):
            return self.control
        if now_ms >= self.closes_at_ms:
            return "closed"
        if now_ms < self.lobby_opens_at_ms:
            return "announced"
        if now_ms < self.opens_at_ms:
            return "draining" if self.control == "draining" else "lobby"
        if self.control == "halted":
            return "halted"
        if self.sold >= self.allotted:
            return "sold_out"
        if self.control in ("paused", "draining"):
            return self.control
        return "all_held" if self.held + self.sold >= self.allotted else "open"


@dataclass
class Place:
    """What the room knows of one buyer. `recorded`: more than that they wait for their first turn.

    Of the four deadlines at most one of `turn_ends_ms`, `comeback_ends_ms` and `pass_ends_ms` is set: it says where the buyer is.
    """

    state: str
    number: int
    turn: int = 0
    misses: int = 0
    extended: bool = False
    recorded: bool = False
    outcome: str | None = None
    ended: int | None = None  # no ticket of this buyer up to this number is good any more
    turn_ends_ms: int | None = None
    unseen_ends_ms: int | None = None
    comeback_ends_ms: int | None = None
    pass_ends_ms: int | None = None  # admitted, and no live order has the pass
    jti: str | None = None
    iat: int | None = None
    exp: int | None = None
    kid: str | None = None
    account_id: str | None = None
    slot_ms: int | None = None


@dataclass
class Room:
    """One sale's room. `store_id` is None while the store is not confirmed."""

    settings: Settings
    unseen_ms: int
    polls_ceiling_ms: int
    slot_grace_ms: int
    store_id: str | None = None
    published: bool = False
    leader: bool = False
    known: bool = False  # something of an earlier confirmation is there: clocks, numbers
    places: dict[str, Place] = field(default_factory=dict)
    ordering: dict[str, int] = field(default_factory=dict)  # ticket with a live order -> backstop
    passes: dict[str, str] = field(default_factory=dict)
    outcomes: deque[str] = field(default_factory=deque)
    log: list[tuple[str, str, int, int, str]] = field(default_factory=list)  # not copied yet
    window: deque[tuple[int, int, int]] = field(default_factory=deque)
    slots: int = 0  # taken after the last tick
    clock_ms: int = 0
    comeback_ms: int = 0
    wall_ms: int = 0
    now_serving: int = 0
    next_number: int = 0
    last_number: int = 0
    spare: tuple[int, int] | None = None
    turns_ended: int = 0
    no_shows: int = 0
    gate: str = ""
    gate_since_ms: int = 0
    limit: str = "none"
    limit_since_ms: int = 0
    rate_lowered_ms: int = 0
    capacity_lowered_ms: int = 0
    lost_ms: int = 0
    settled_ms: int = 0
    turns_before: int = 0
    unknown_slots: int = 0
    unknown_until_ms: int = 0
    quiet_until_ms: int = 0
    last_tick: tuple[str, Answer] | None = None
    last_settings: tuple[int, int, str] | None = None  # rate, capacity and control of the last tick

    # ------------------------------------------------------------ what everybody asks

    @property
    def available(self) -> bool:
        return self.store_id is not None and self.published

    def phase(self, now_ms: int) -> str:
        return self.settings.phase(max(now_ms, self.wall_ms))

    def line(self) -> list[str]:
        """Who waits, in the order of their numbers."""
        waiting = [
            (place.number, ticket) for ticket, place in self.places.items() if place.state == "waiting"
        ]
        return [ticket for _, ticket in sorted(waiting)]

    def in_state(self, deadline: str) -> int:
        return sum(getattr(place, deadline) is not None for place in self.places.values())

    @property
    def numbers_given(self) -> int:
        return self.next_number - 1

    def _note(self, event: str, ticket: str, place: Place, detail: str = "") -> None:
        self.log.append((event, ticket, place.number, place.turn, detail))

    def _sight(self, ticket: str, now_ms: int, **marks: bool) -> Answer:
        place = self.places[ticket]
        waits = place.state == "waiting"
        state = visible_state(Phase(self.phase(now_ms)), RecordState(place.state))
        in_line = waits and state in ("lobby", "waiting", "all_held") and now_ms >= self.settled_ms
        line = self.line()
        return {
            "state": state.value,
            "number": place.number,
            "phase": self.phase(now_ms),
            "store_id": self.store_id,
            "ahead": line.index(ticket) if in_line else None,
            "waiting": len(line) if in_line else None,
            "turn_expires_at_ms": _on_the_wall(place.turn_ends_ms, self.clock_ms, now_ms),
            "extended": place.state == "called" and place.extended,
            "comeback_until_ms": _on_the_wall(place.comeback_ends_ms, self.comeback_ms, now_ms),
            "outcome": None if waits else place.outcome,
            "created": marks.get("created", False),
            "rejoined": marks.get("rejoined", False),
        }

    # ------------------------------------------------------------ what buyers do

    def join(self, ticket: str, shown: Shown, now_ms: int) -> Answer:
        if not self.available:
            return UNAVAILABLE
        self._take_back(ticket, shown)
        place, phase = self.places.get(ticket), self.phase(now_ms)
        if place and (place.state in ("waiting", "called", "admitted") or place.outcome == "paid"):
            place.unseen_ends_ms = None
            return self._sight(ticket, now_ms)
        if place and place.state == "missed":
            if phase in ("closed", "cancelled"):
                return self._sight(ticket, now_ms)
            place.state, place.comeback_ends_ms = "waiting", None
            self._note("return", ticket, place)
            return self._sight(ticket, now_ms, rejoined=True)
        if phase == "announced":
            return "TooEarly"
        if phase in ("draft", "closed", "cancelled") or self.settings.control == "draining":
            return "LineClosed"
        if self.settings.sold >= self.settings.allotted:
            return "SoldOut"
        number = self._next_number()
        if number is None:
            return UNAVAILABLE
        self.places[ticket] = Place("waiting", number)
        if place:
            ended = place.ended or place.number
            self.places[ticket] = Place("waiting", number, turn=place.turn, ended=ended, recorded=True)
        return self._sight(ticket, now_ms, created=True)

    def _next_number(self) -> int | None:
        if self.next_number > self.last_number:
            if self.spare is None:
                return None
            (self.next_number, self.last_number), self.spare = self.spare, None
        self.next_number += 1
        return self.next_number - 1

    def look(self, ticket: str, shown: Shown, now_ms: int) -> Answer:
        if not self.available:
            return UNAVAILABLE
        self._take_back(ticket, shown)
        if ticket not in self.places:
            return "NoTicket"
        self.places[ticket].unseen_ends_ms = None
        return self._sight(ticket, now_ms)

    def leave(self, ticket: str, shown: Shown, now_ms: int) -> Answer:  # noqa: ARG002 (every step is told the time)
        if not self.available:
            return UNAVAILABLE
        if ticket in self.ordering:
            return "OrderOpen"
        self._take_back(ticket, shown)
        place = self.places.get(ticket)
        if place is None or place.state in ("done", "left", "lapsed"):
            return {"left": True}
        if place.state == "called":
            self.turns_ended += 1
        if place.state == "admitted":
            self.passes[str(place.jti)] = "left"
        if place.state in ("called", "admitted"):
            self.no_shows += 1
            self._note("free", ticket, place, "left")
        self._end(place, "left")
        return {"left": True}

    def extend(self, ticket: str, now_ms: int) -> Answer:
        if not self.available:
            return UNAVAILABLE
        place = self.places.get(ticket)
        if place is None:
            return "NoTicket"
        if place.state != "called" or place.turn_ends_ms is None or self.phase(now_ms) == "cancelled":
            return "NotCalled"
        if place.extended:
            return "AlreadyExtended"
        place.extended, place.unseen_ends_ms = True, None
        place.turn_ends_ms += self.settings.turn_window_ms
        return self._sight(ticket, now_ms)

    def claim(self, ticket: str, account_id: str, kid: str, now_ms: int) -> Answer:
        if not self.available:
            return UNAVAILABLE
        if self.settings.control == "halted":
            return "Halted"
        if self.phase(now_ms) == "cancelled":
            return "TurnLapsed"
        place = self.places.get(ticket)
        if place is None:
            return "NoTicket"
        if place.state == "waiting":
            return "NotCalledYet"
        if place.state == "called":
            self.turns_ended += 1
            place.state, place.turn_ends_ms, place.unseen_ends_ms = "admitted", None, None
            place.jti = f"{ticket}.{place.turn}"
            place.iat = now_ms // 1000
            place.exp = place.iat + math.ceil(self.settings.pass_ms / 1000)
            place.account_id, place.kid = account_id, kid
            place.slot_ms = place.pass_ends_ms = self.clock_ms + self.settings.pass_ms
            self._note("claim", ticket, place, f"{place.exp} {kid}")
        elif place.state != "admitted" or not place.exp or place.exp * 1000 <= now_ms:
            return "TurnLapsed"
        elif place.account_id is None:
            place.account_id, place.kid = account_id, place.kid or kid
        return {name: getattr(place, name) for name in ("jti", "iat", "exp", "kid", "turn", "account_id")}

    def order(self, jti: str, order_id: str) -> Answer:
        """What the lane does with pass and slot when it accepts an order."""
        if not self.available:
            return "LaneRecovering"
        if self.settings.control == "halted":
            return "HaltedLane"
        if self.settings.control in ("cancelled", "draft"):
            return "SaleClosed"
        if jti in self.passes:
            return "PassUsed"
        if self.settings.sold >= self.settings.allotted:
            return "SoldOutEarly"
        self.passes[jti] = order_id
        ticket = jti.rpartition(".")[0]
        place = self.places.get(ticket)
        had_slot = ticket in self.ordering
        if place is not None and place.pass_ends_ms is not None:
            place.pass_ends_ms, had_slot = None, True
        if had_slot or place is None or not place.recorded:
            self.ordering[ticket] = self.clock_ms + self.settings.hold_ms + self.slot_grace_ms
        return {"accepted": order_id}

    def give_back(self, jti: str, order_id: str) -> None:
        if self.passes.get(jti) == order_id:
            del self.passes[jti]

    # ------------------------------------------------------------ tickets of an earlier store

    def _take_back(self, ticket: str, shown: Shown) -> None:
        """A ticket of an earlier store goes back to its own place, unless what this store knows forbids it."""
        if shown is None:
            return
        number, store_id = shown
        if not 1 <= number <= self.numbers_given or store_id == self.store_id:
            return
        place = self.places.get(ticket)
        if place is None:
            self.places[ticket] = Place("waiting", number)
            return
        if place.state in ("called", "admitted", "missed") or place.outcome == "paid":
            place.number = place.number or number
            return
        if number <= (place.ended or 0) or (place.state == "waiting" and place.number <= number):
            return
        back = Place("waiting", number, turn=place.turn, ended=place.ended, recorded=place.recorded)
        self.places[ticket] = back

    # ------------------------------------------------------------ the tick

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
        while self.outcomes:
            self._take_outcome(self.outcomes.popleft())
        self._end_what_is_over()
        while self.window and self.window[0][0] <= self.clock_ms - MINUTE_MS:
            self.window.popleft()
        gate = self._gate(now_ms)
        freed = max(0, self.slots - self.slots_held)
        calls = self._call_head(beat, gate)
        self.slots = self.slots_held
        if calls or freed:
            self.window.append((self.clock_ms, calls, freed))
        self._note_reasons(gate, now_ms)
        self.last_settings = (settings.calls_per_minute, settings.capacity, control)
        reply = self.figures(now_ms) | {"calls": calls, "tick_id": beat.tick_id}
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

    def _end(self, place: Place, state: str) -> None:
        """A place that ends frees its slot and takes all of its buyer's older tickets along."""
        place.state, place.ended, place.recorded = state, self.numbers_given, True
        place.turn_ends_ms = place.unseen_ends_ms = place.comeback_ends_ms = place.pass_ends_ms = None

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

    def _gate(self, now_ms: int) -> str:
        """Why nobody may be called, or "open". A draining sale goes on calling those who stand in line."""
        phase = self.phase(now_ms)
        if phase != "draining":
            return phase
        if self.wall_ms < self.settings.opens_at_ms:
            return "lobby"
        none_free = self.settings.held + self.settings.sold >= self.settings.allotted
        return "all_held" if none_free else "open"

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
        if not line:
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
        if gate != "open" or quiet or count <= 0:
            return 0
        for ticket in line[:count]:
            self._call(ticket)
        return count

    def _call(self, ticket: str) -> None:
        place = self.places[ticket]
        turn = max(place.turn, self.turns_before) + 1
        called = Place(
            "called", place.number, turn=turn, misses=place.misses, ended=place.ended, recorded=True
        )
        called.turn_ends_ms = self.clock_ms + self.settings.turn_window_ms
        called.unseen_ends_ms = self.clock_ms + self.unseen_ms
        self.places[ticket] = called
        self.now_serving = max(self.now_serving, place.number)
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
        }

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


def _on_the_wall(deadline_ms: int | None, clock_ms: int, now_ms: int) -> int | None:
    return None if deadline_ms is None else now_ms + max(0, deadline_ms - clock_ms)


def _lowered_ms(before: int, after: int, since: int, now_ms: int) -> int:
    if after < before:
        return now_ms
    return 0 if after > before else since

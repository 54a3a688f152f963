"""Of the reference: settings, places, and what buyers do with them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from waiting_room.states import RecordState, visible_state
from waiting_room.window import Phase

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
class Places:
    """One sale's places, and what their buyers do. `store_id` is None while the store is not confirmed."""

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

    def _end(self, place: Place, state: str) -> None:
        """A place that ends frees its slot and takes all of its buyer's older tickets along."""
        place.state, place.ended, place.recorded = state, self.numbers_given, True
        place.turn_ends_ms = place.unseen_ends_ms = place.comeback_ends_ms = place.pass_ends_ms = None

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


def _on_the_wall(deadline_ms: int | None, clock_ms: int, now_ms: int) -> int | None:
    return None if deadline_ms is None else now_ms + max(0, deadline_ms - clock_ms)

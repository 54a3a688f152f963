"""Of the reference: settings, places, and what buyers do with them."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any

from waiting_room.draw import lot
from waiting_room.states import RecordState, visible_state
from waiting_room.window import Phase

UNAVAILABLE = "RoomUnavailable"
# Where those stand who came to a draw after its opening, until the list of its lobby is public; before that a place is below 0.
ARRIVALS = 2**32

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
    mode: str = "fifo"

    def phase(self, now_ms: int, *, unopened: bool = False) -> str:
        if self.control in ("draft", "cancelled", "closed"):
            return self.control
        if now_ms >= self.closes_at_ms:
            return "closed"
        if now_ms < self.lobby_opens_at_ms:
            return "announced"
        if unopened or now_ms < self.opens_at_ms:
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

    `stands`: where in the line, None out of it. `number`: the one that is noted, 0 while a draw keeps it secret.
    Of the four deadlines at most one of `turn_ends_ms`, `comeback_ends_ms` and `pass_ends_ms` is set: it says where the buyer is.
    """

    state: str
    number: float
    stands: float | None = None
    turn: int = 0
    misses: int = 0
    extended: bool = False
    recorded: bool = False
    outcome: str | None = None
    ended: float | None = None  # no ticket of this buyer up to this number is good any more
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
    counts: Counter[str] = field(default_factory=Counter)
    seed: bytes = b""
    draw: str = ""  # how far a draw is: lobby, gathering, drawing, listed, drawn; "" in a FIFO sale
    opened_ms: int = 0
    lobby_size: int = 0
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

    @property
    def opens_at_ms(self) -> int:
        return min(self.settings.opens_at_ms, self.opened_ms) if self.opened_ms else self.settings.opens_at_ms

    def phase(self, now_ms: int) -> str:
        settings = replace(self.settings, opens_at_ms=self.opens_at_ms)
        return settings.phase(max(now_ms, self.wall_ms), unopened=self.draw == "lobby")

    def line(self) -> list[str]:
        """Who waits, in the order of their places."""
        waiting = [
            (place.stands, ticket) for ticket, place in self.places.items() if place.stands is not None
        ]
        return [ticket for _, ticket in sorted(waiting)]

    # ------------------------------------------------------------ a draw's places

    @property
    def has_list(self) -> bool:
        return self.draw in ("listed", "drawn")

    def arrival_place(self, count: int) -> int:
        return (self.lobby_size if self.has_list else ARRIVALS) + count

    def is_hidden(self, place: float) -> bool:
        return self.draw != "" and (self.draw != "drawn" or place < 0)

    def in_lobby(self) -> list[str]:
        """Who waits at a draw score, in its order."""
        return [ticket for ticket in self.line() if _stands(self.places[ticket]) < 0]

    def lot_of(self, ticket: str) -> float:
        return float(lot(self.seed, ticket))

    def _waiting(self, place: float, known: Place | None = None, **more: Any) -> Place:
        """Somebody in the line; `known` is what the room knew of them before."""
        number = 0 if self.is_hidden(place) else place
        if known is None or not known.recorded:
            return Place("waiting", number, place, **more)
        return Place("waiting", number, place, turn=known.turn, recorded=True, **more)

    def in_state(self, deadline: str) -> int:
        return sum(getattr(place, deadline) is not None for place in self.places.values())

    @property
    def numbers_given(self) -> int:
        given = self.next_number - 1
        if not self.draw:
            return given
        return 0 if self.draw == "lobby" else self.arrival_place(given)

    def _note(self, event: str, ticket: str, place: Place, detail: str = "") -> None:
        self.log.append((event, ticket, math.ceil(place.number), place.turn, detail))
        self.counts[event] += 1

    def _sight(self, ticket: str, now_ms: int, **marks: bool) -> Answer:
        place = self.places[ticket]
        waits = place.state == "waiting"
        at = place.number if place.stands is None else place.stands
        hidden = self.is_hidden(at)
        state = visible_state(Phase(self.phase(now_ms)), RecordState(place.state))
        in_line = waits and state in ("lobby", "waiting", "all_held") and now_ms >= self.settled_ms
        line = self.line()
        return {
            "state": state.value,
            "number": None if hidden else math.ceil(at),
            "mark": _mark(at),
            "phase": self.phase(now_ms),
            "store_id": self.store_id,
            "ahead": line.index(ticket) if in_line and not hidden else None,
            "waiting": len(line) if in_line else None,
            "turn_expires_at_ms": _on_the_wall(place.turn_ends_ms, self.clock_ms, now_ms),
            "extended": place.state == "called" and place.extended,
            "comeback_until_ms": _on_the_wall(place.comeback_ends_ms, self.comeback_ms, now_ms),
            "outcome": None if waits else place.outcome,
            "created": marks.get("created", False),
            "rejoined": marks.get("rejoined", False) and not hidden,
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
            place.state, place.comeback_ends_ms, place.stands = "waiting", None, place.number
            self._note("return", ticket, place)
            return self._sight(ticket, now_ms, rejoined=True)
        if phase == "announced":
            return "TooEarly"
        if phase in ("draft", "closed", "cancelled") or self.settings.control == "draining":
            return "LineClosed"
        if self.settings.sold >= self.settings.allotted:
            return "SoldOut"
        stands: float = self.lot_of(ticket)
        if self.draw != "lobby":
            count = self._next_number()
            if count is None:
                return UNAVAILABLE
            stands = self.arrival_place(count) if self.draw else count
        ended = None if place is None else place.number if place.ended is None else place.ended
        self.places[ticket] = self._waiting(stands, place, ended=ended)
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
        if place.stands is not None:
            place.number = 0 if self.is_hidden(place.stands) else place.stands
        self.counts["left"] += 1
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
        elif place.state != "admitted" or not place.exp:
            return "TurnLapsed"
        elif place.exp * 1000 <= now_ms:
            if not self._renew(ticket, place, account_id, kid, now_ms):
                return "TurnLapsed"
        elif place.account_id is None:
            place.account_id, place.kid = account_id, place.kid or kid
        return {name: getattr(place, name) for name in ("jti", "iat", "exp", "kid", "turn", "account_id")}

    def _renew(self, ticket: str, place: Place, account_id: str, kid: str, now_ms: int) -> bool:
        """A pass for what the sale's own clock has left of an unused slot."""
        if place.pass_ends_ms is None:
            return False
        exp = (now_ms + place.pass_ends_ms - self.clock_ms) // 1000
        if exp <= now_ms // 1000:
            return False
        place.iat, place.exp, place.account_id, place.kid = now_ms // 1000, exp, account_id, kid
        self._note("renew", ticket, place, f"{exp} {kid}")
        return True

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
        place.state, place.ended, place.recorded, place.stands = state, self.numbers_given, True, None
        place.turn_ends_ms = place.unseen_ends_ms = place.comeback_ends_ms = place.pass_ends_ms = None

    # ------------------------------------------------------------ tickets of an earlier store

    def _take_back(self, ticket: str, shown: Shown, *, by_lot: bool = True) -> None:
        """A ticket of an earlier store goes back to its own place, unless what this store knows forbids it."""
        if shown is None or shown[1] == self.store_id:
            return
        told, place = self._told(ticket, shown[0]), self.places.get(ticket)
        if told is None or (told < 0 and not by_lot):
            return
        if place is None:
            self.places[ticket] = self._waiting(told)
            return
        if place.state in ("called", "admitted", "missed") or place.outcome == "paid":
            if told >= 1:
                place.number = place.number or told
            return
        if place.recorded and told <= (place.ended or 0):
            return
        if place.stands is not None and self._stands_before(place.stands, told):
            return
        misses = place.misses if place.state == "waiting" and place.number == told else 0
        self.places[ticket] = self._waiting(told, place, ended=place.ended, misses=misses)

    def _told(self, ticket: str, mark: int) -> float | None:
        """The place that the mark of a ticket stands for: in a draw 0 is the lobby, and minus a count who arrived before the list."""
        if self.draw and mark == 0:
            return self.lot_of(ticket)
        if self.draw and mark < 0:
            return self.arrival_place(-mark) if -mark < self.next_number else None
        numbered = not self.draw or self.has_list
        return mark if numbered and 1 <= mark <= self.numbers_given else None

    def _stands_before(self, stands: float, told: float) -> bool:
        """In the line a ticket of the lobby has its number by now."""
        return stands <= told or (told < 0 and self.has_list and stands < self.lobby_size + 1)


def _stands(place: Place) -> float:
    assert place.stands is not None
    return place.stands


def _mark(at: float) -> int:
    """What the ticket carries: its number; in a draw 0 for a place of the lobby or between two numbers, minus a count for a late one."""
    if at > ARRIVALS:
        return int(ARRIVALS - at)
    return int(at) if at > 0 and at == int(at) else 0


def _on_the_wall(deadline_ms: int | None, clock_ms: int, now_ms: int) -> int | None:
    return None if deadline_ms is None else now_ms + max(0, deadline_ms - clock_ms)

"""What a lost store has to be told again: who was called, admitted, done or lapsed, from the copied call log and from the orders.

Pure: the log's rows and the orders in, one record per ticket out; relay.lua lays them. Knows no Redis and no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import msgspec

from waiting_room.ticking import CallRow

# A number that a store gives leads to two turns at most: the first, and the one after coming back from a missed one.
TURNS_PER_NUMBER = 2


class Served(msgspec.Struct, kw_only=True, omit_defaults=False):
    """The last that is known of a ticket that was called. `number` is 0 while only an order tells of it.

    `called`: the highest number it was called with; `ended`: no place of its buyer up to this number is good any more;
    `iat`, `exp` (unix s) and `kid` of the pass of this turn; `order_id` of the order that has the pass.
    """

    ticket_id: str
    turn: int = 0
    number: int = 0
    state: str = "called"
    called: int = 0
    misses: int = 0
    ended: int = 0
    outcome: str | msgspec.UnsetType = msgspec.UNSET
    iat: int | msgspec.UnsetType = msgspec.UNSET
    exp: int | msgspec.UnsetType = msgspec.UNSET
    kid: str | msgspec.UnsetType = msgspec.UNSET
    order_id: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order that has a pass: `live` still needs its slot, `paid` and `ended` do not. `jti` is ticket id "." turn."""

    order_id: str
    jti: str
    state: Literal["live", "paid", "ended"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What is confirmed after a loss. `copied_ms`: until when the call log is whole (unix ms, 0 for never); `log_read`: without it
    nobody is called for one pass life and 30 s.
    """

    copied_ms: int = 0
    log_read: bool = True


def turns_before(first_number: int) -> int:
    """More turns than any ticket can have had, given the first number of the new store's block: strictly above all earlier."""
    return TURNS_PER_NUMBER * first_number if first_number > 1 else 0


class Ledger:
    """Reads the log row by row, in its order, then the orders; keeps one record per ticket."""

    def __init__(self) -> None:
        self._served: dict[str, Served] = {}

    def __len__(self) -> int:
        return len(self._served)

    def read_calls(self, rows: Iterable[CallRow]) -> None:
        """Take in the next rows of the log."""
        for row in rows:
            self._read(row)

    def read_orders(self, orders: Iterable[OrderRow]) -> None:
        """Take in orders; the log must have been read before."""
        for order in orders:
            self._settle(order)

    def batches(self, size: int) -> Iterator[list[Served]]:
        """Everything that is known, in lists of at most `size`."""
        values = iter(self._served.values())
        while batch := list(islice(values, size)):
            yield batch

    def _read(self, row: CallRow) -> None:
        served = self._served.setdefault(row.ticket_id, Served(ticket_id=row.ticket_id))
        if row.turn < served.turn:
            return
        match row.event:
            case "call":
                self._served[row.ticket_id] = _called(served, row)
            case "claim" | "renew":
                _claimed(served, row)
            case "miss":
                served.state, served.misses = "missed", served.misses + 1
            case "return":
                served.state = "waiting"
            case "move":
                self._served[row.ticket_id] = _moved(served, row)
            case "lapse":
                _ended(served, row, "lapsed")
            case "free":
                _ended(served, row, "left" if row.detail == "left" else "done")
                if served.state == "done":
                    served.outcome = row.detail

    def _settle(self, order: OrderRow) -> None:
        ticket_id, _, turn = order.jti.rpartition(".")
        served = self._served.setdefault(ticket_id, Served(ticket_id=ticket_id))
        if int(turn) < served.turn:
            return
        if int(turn) > served.turn:  # called, admitted and decided before the log was copied
            served.turn, served.state = int(turn), "admitted"
        served.order_id = order.order_id
        if order.state == "paid":
            served.state, served.outcome = "done", "paid"
        elif served.state in ("left", "lapsed", "done"):
            return
        elif order.state == "ended":
            served.state, served.outcome, served.ended = "done", "ended", max(served.ended, served.number)
        else:
            served.state = "admitted"


def _called(served: Served, row: CallRow) -> Served:
    """A new turn. Whoever is called with a number has no place with a smaller one."""
    return Served(
        ticket_id=row.ticket_id,
        turn=row.turn,
        number=row.number,
        called=max(served.called, row.number),
        misses=served.misses if row.number == served.number else 0,
        ended=max(served.ended, row.number - 1),
    )


def _claimed(served: Served, row: CallRow) -> None:
    served.state, served.turn, served.number = "admitted", row.turn, row.number
    served.iat = row.at_ms // 1000
    exp, _, kid = row.detail.partition(" ")
    if exp.isdecimal() and kid:
        served.exp, served.kid = int(exp), kid


def _moved(served: Served, row: CallRow) -> Served:
    """A device's place that went to an account: `gone` on the one side, on the other the state and the misses that it has there.

    The number may be lower than those that the account had before, so that what ended with them ends just below it.
    """
    state, _, misses = row.detail.partition(" ")
    if state == "gone":
        _ended(served, row, "left")
        return served
    called = row.number if state in ("called", "missed") else 0
    return Served(
        ticket_id=row.ticket_id,
        turn=row.turn,
        number=row.number,
        state=state,
        called=max(served.called, called),
        misses=int(misses),
        ended=row.number - 1,
    )


def _ended(served: Served, row: CallRow, state: str) -> None:
    served.state, served.ended = state, max(served.ended, row.number)

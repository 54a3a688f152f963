"""The draw: an order of the lobby that was fixed before it opened, that nobody can know before, and that anybody can recompute after.

    commitment = SHA-256("firstcome-draw-1" | sale id | seed)                           published with the sale
    score      = (first 8 bytes, big-endian, of HMAC-SHA256(seed, ticket id)) >> 12     of 2^52; ties by the ticket's id
    list       = the ids of the lobby in the order of their scores, one a line          published with the seed after the opening
    number     = the line on which a ticket's id stands

Sale ids and ticket ids count as their ASCII text. A ticket that a lost store had given out and that comes back when the list is
public stands between two numbers, where its score belongs (`DrawList.place`). Pure: knows neither Redis nor where the seed is kept.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from waiting_room.macs import mac
from waiting_room.ticket import ID_LENGTH

SEED_BYTES = 32
SCALE = 1 << 52
# The rules in one line each, for those who recompute a draw.
COMMITMENT_FORMULA = 'sha256("firstcome-draw-1" | sale_id | seed)'
FORMULA = "(first 8 bytes, big-endian, of hmac_sha256(seed, ticket_id)) >> 12; the lowest goes first, ties by ticket_id"
_PURPOSE = b"firstcome-draw-1"
_LINE_LENGTH = ID_LENGTH + 1
_PARTS = 1_000_000
_LINE = re.compile(rb"[A-Za-z0-9_-]{14}\n")
MOST_FAULTS = 10


def commitment(sale_id: str, seed: bytes) -> str:
    """What is published before the lobby opens: 64 hex digits that fix the seed and tell nothing about it."""
    return hashlib.sha256(_PURPOSE + sale_id.encode() + seed).hexdigest()


def score(seed: bytes, ticket_id: str) -> int:
    """A ticket's draw score, 0 <= score < SCALE: the lowest goes first."""
    return int.from_bytes(mac(seed, ticket_id.encode())[:8]) >> 12


def lot(seed: bytes, ticket_id: str) -> str:
    """The place in a lobby, as text from which the very same place is read again: the score over SCALE, less 1.

    So it lies in [-1, 0), before every number, and before every place between number 1 and nothing.
    """
    return repr(score(seed, ticket_id) / SCALE - 1)


def hash_of_list(text: bytes) -> str:
    """What stands for a whole list: SHA-256 of its text, every id followed by a newline."""
    return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """A ticket that came back from a lost store when the list was public already: `place` lies between two numbers."""

    ticket_id: str
    place: float


@dataclass(frozen=True, slots=True)
class Published:
    """What a shop says about a draw that took place, beside its list."""

    sale_id: str
    commitment: str
    seed: bytes = field(repr=False)
    size: int
    list_hash: str
    addendum: tuple[Entry, ...] = ()


class DrawList:
    """The list of a draw: `text` as published, 15 bytes a ticket, and the seed that puts it in order."""

    def __init__(self, seed: bytes, text: bytes) -> None:
        self._seed = seed
        self._text = text

    def __len__(self) -> int:
        return len(self._text) // _LINE_LENGTH

    def at(self, index: int) -> str:
        """The ticket on line `index`, counted from 0."""
        return self._text[index * _LINE_LENGTH : index * _LINE_LENGTH + ID_LENGTH].decode()

    def part(self, first: int, last: int) -> str:
        """The tickets on the lines from `first` up to but not including `last`, one behind the other without anything between."""
        return self._text[first * _LINE_LENGTH : last * _LINE_LENGTH].decode().replace("\n", "")

    def place(self, ticket_id: str) -> float:
        """A ticket's place: its number if it is on the list, else between the two numbers where its score belongs.

        The part behind the number says how far its score lies between theirs, in whole millionths: never 0 and never 1.
        """
        key = self._key(ticket_id)
        before = bisect_left(range(len(self)), key, key=lambda index: self._key(self.at(index)))
        if before < len(self) and self.at(before) == ticket_id:
            return before + 1
        low = self._key(self.at(before - 1))[0] if before else 0
        high = self._key(self.at(before))[0] if before < len(self) else SCALE
        part = (key[0] - low) * _PARTS // (high - low) if high > low else _PARTS // 2
        # Of all numbers the one nearest to these six digits, so that whoever writes only them down has the very same place.
        return (before * _PARTS + min(_PARTS - 1, max(1, part))) / _PARTS

    def _key(self, ticket_id: str) -> tuple[int, bytes]:
        return score(self._seed, ticket_id), ticket_id.encode()


def faults_of(published: Published, text: bytes) -> Iterator[str]:
    """What is wrong with a draw and its list, a sentence each, at most MOST_FAULTS about the list's order; nothing for a true one."""
    if commitment(published.sale_id, published.seed) != published.commitment:
        yield "The seed is not the one that was committed to before the lobby opened."
    if hash_of_list(text) != published.list_hash:
        yield "The list is not the one whose hash was published."
    lines = text.splitlines(keepends=True)
    strange = [number for number, line in enumerate(lines, 1) if not _LINE.fullmatch(line)]
    if strange:
        yield f"Line {strange[0]} of the list is no ticket."
        return
    if len(lines) != published.size:
        yield f"The list has {len(lines)} tickets, not {published.size}."
    yield from _faults_of_order(published.seed, [line[:-1].decode() for line in lines])
    yield from _faults_of_addendum(published, DrawList(published.seed, text))


def _faults_of_order(seed: bytes, tickets: list[str]) -> Iterator[str]:
    found, before = 0, (-1, b"")
    for number, ticket in enumerate(tickets, 1):
        key = score(seed, ticket), ticket.encode()
        if key == before:
            yield f"Number {number}, {ticket}, stands on the list twice."
        elif key < before:
            yield f"Number {number}, {ticket}, has a lower score than the ticket before it."
        found += key <= before
        before = key
        if found == MOST_FAULTS:
            yield "And perhaps more."
            return


def _faults_of_addendum(published: Published, drawn: DrawList) -> Iterator[str]:
    for entry in published.addendum:
        place = drawn.place(entry.ticket_id)
        if place == int(place):
            yield f"{entry.ticket_id} is in the addendum although it is number {int(place)} of the list."
        elif round(place * _PARTS) != round(entry.place * _PARTS):
            yield f"{entry.ticket_id} of the addendum belongs at {place}, not at {entry.place}."

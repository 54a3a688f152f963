"""The ticket: the signed place in the buyer's hands, checked on every poll without asking anybody.

`v1.<kid>.<payload>.<mac>`: payload is base64url of a msgpack array, mac the base64url HMAC-SHA256 over kind, kid, sale and payload,
each preceded by its length, so that no two different contents are signed alike and no other kind of token or other sale's ticket
validates. Not a JWT: a plain HMAC costs microseconds. Knows no Redis and no accounts beyond their ids.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from waiting_room.macs import mac
from waiting_room.refusals import InvalidToken

VERSION = "v1"
KIND = "firstcome-ticket"
ID_BYTES = 10
ID_LENGTH = 14
LONGEST_TOKEN = 512

# Where the id of an account's ticket has a character of the alphabet, that of a device's has this one.
GUEST = "~"

_TICKET_ID = re.compile(rf"[{GUEST}A-Za-z0-9_-][A-Za-z0-9_-]{{{ID_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True)
class TicketKeys:
    """The secrets that sign tickets, by key id. A sale keeps one of them for its life."""

    by_id: Mapping[str, bytes] = field(repr=False)


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """What a ticket says: a place `number` in a sale, given by the store `store_id`.

    In a draw, before its list is public, no ticket says more than where it belongs: 0 is the lobby, where the place is the draw
    score, and -3 the third that came after the opening.
    """

    sale_id: str
    ticket_id: str
    number: int
    store_id: str


def ticket_id(key: bytes, sale_id: str, account_id: str) -> str:
    """The id of an account's only ticket in a sale: 14 characters, the same on every device, and no account can be read from it."""
    digest = mac(key, _beginning("firstcome-ticket-id", sale_id) + _part(account_id))
    return _text(digest[:ID_BYTES])


def guest_ticket_id(key: bytes, sale_id: str, device: str) -> str:
    """The id of a device's only ticket in a sale; told from an account's by its first character."""
    digest = mac(key, _beginning("firstcome-guest-ticket-id", sale_id) + _part(device))
    return GUEST + _text(digest[:ID_BYTES])[:13]


def is_guest(ticket_id: str) -> bool:
    """Whether a device holds this ticket, not an account."""
    return ticket_id.startswith(GUEST)


def issue(ticket: Ticket, kid: str, keys: TicketKeys) -> str:
    """The signed token. Raises KeyError for a key id that the ring does not have."""
    content = (ticket.sale_id, ticket.ticket_id, ticket.number, ticket.store_id)
    payload = _text(msgspec.msgpack.encode(content))
    return f"{VERSION}.{kid}.{payload}.{_mac(keys.by_id[kid], kid, ticket.sale_id, payload)}"


def read(token: str, sale_id: str, keys: TicketKeys) -> Ticket:
    """The ticket that a token of this sale carries. Raises InvalidToken for everything else, whatever it looks like."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise InvalidToken("not a ticket")
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != VERSION:
        raise InvalidToken("not a ticket")
    _, kid, payload, signature = parts
    key = keys.by_id.get(kid)
    if key is None:
        raise InvalidToken("signed with a key that is not known")
    if not hmac.compare_digest(_mac(key, kid, sale_id, payload), signature):
        raise InvalidToken("the signature is not ours")
    return _content(payload, sale_id)


class TicketReader:
    """Reads tickets as `read` does, and remembers those it has checked: most come back every few seconds.

    At most `most`; what was remembered is dropped whole after `for_s` seconds. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        keys: TicketKeys,
        *,
        most: int = 100_000,
        for_s: float = 90.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._most = most
        self._for_s = for_s
        self._clock = clock
        self._known: dict[str, Ticket] = {}
        self._begun_s = clock()

    def read(self, token: str, sale_id: str) -> Ticket:
        """Raises InvalidToken."""
        ticket = self._known.get(token)
        if ticket is not None and ticket.sale_id == sale_id:
            return ticket
        ticket = read(token, sale_id, self._keys)
        if self._clock() - self._begun_s >= self._for_s:
            self._known, self._begun_s = {}, self._clock()
        if len(self._known) < self._most:
            self._known[token] = ticket
        return ticket


def _content(payload: str, sale_id: str) -> Ticket:
    try:
        packed = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        ticket = Ticket(*msgspec.msgpack.decode(packed, type=tuple[str, str, int, str]))
    except (binascii.Error, msgspec.DecodeError) as fault:
        raise InvalidToken("signed, but unreadable") from fault
    if ticket.sale_id != sale_id or not _TICKET_ID.fullmatch(ticket.ticket_id):
        raise InvalidToken("signed, but not a place in this sale")
    return ticket


def _mac(key: bytes, kid: str, sale_id: str, payload: str) -> str:
    return _text(mac(key, _beginning(KIND, kid, sale_id) + _part(payload)))


@lru_cache(maxsize=1024)
def _beginning(*parts: str) -> bytes:
    """What the signed contents of a whole sale begin with."""
    return b"".join(map(_part, parts))


def _part(text: str) -> bytes:
    """A part of a content, preceded by its length: ("ab", "c") and ("a", "bc") differ."""
    raw = text.encode()
    return len(raw).to_bytes(4) + raw


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

"""What the room's scripts have answered, read: refusals by their words, claims, the state of a line, entries of the call log."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import structlog

from waiting_room.collector import unavailable
from waiting_room.line_state import LineReply, LineState, line_state
from waiting_room.refusals import (
    AlreadyExtended,
    ChallengeRequired,
    Halted,
    LineClosed,
    NotCalled,
    NoTicket,
    OrderOpen,
    PauseTooSoon,
    ProofSpent,
    RoomError,
    SoldOut,
    TooEarly,
    TurnLapsed,
)
from waiting_room.ticking import CallRow

log = structlog.get_logger(__name__)

REFUSALS: Mapping[str, tuple[Callable[[str], RoomError], str]] = {
    "too_early": (TooEarly, "the lobby has not opened yet"),
    "challenge_required": (ChallengeRequired, "solve the sale's challenge to join"),
    "proof_spent": (ProofSpent, "this challenge has let somebody in already; solve another one"),
    "pause_too_soon": (PauseTooSoon, "somebody of your network has just come in this way"),
    "line_closed": (LineClosed, "the sale takes no more joins"),
    "sold_out": (SoldOut, "every unit is sold"),
    "no_ticket": (NoTicket, "there is no ticket of this buyer"),
    "not_called": (NotCalled, "this ticket has no turn just now"),
    "already_extended": (AlreadyExtended, "this turn was extended already"),
    "turn_lapsed": (TurnLapsed, "this turn is over"),
    "order_open": (OrderOpen, "there is a live order"),
    "halted": (Halted, "the operator has halted the sale"),
}
UNAVAILABLE = {
    "unconfirmed": "the line's store has to be confirmed first",
    "unpublished": "the sale's settings or stock are not there yet",
    "no_numbers": "the next numbers of the line are not there yet",
}


class Claim(msgspec.Struct, frozen=True):
    """What a pass is made of, the same on every claim of the same turn. `iat` and `exp` in unix seconds."""

    jti: str
    iat: int
    exp: int
    kid: str
    turn: int
    account_id: str


class ClaimReply(msgspec.Struct, frozen=True):
    """What claim.lua answers: what the pass is made of, or the sight of a ticket that waits still."""

    record: Claim | None = None
    early: msgspec.Raw = msgspec.Raw()


def granted(reply: str, word: str = "") -> str:
    """The answer when it is JSON or the expected word; every other word is a refusal."""
    if reply == word or reply.startswith("{"):
        return reply
    raise refusal_of(reply)


def refusal_of(word: str) -> RoomError:
    """What the word of a refusal means."""
    if word in UNAVAILABLE:
        return unavailable(UNAVAILABLE[word])
    refusal, why = REFUSALS[word]
    return refusal(why)


def read_line(sale_id: str, reply: str) -> LineState | None:
    """The state of a line; None for a sale whose copies are missing or malformed: it is not known, and keeps no other from being shown."""
    if not reply.startswith("{"):
        return None
    try:
        return line_state(sale_id, msgspec.json.decode(reply, type=LineReply))
    except ValueError as fault:
        log.error("malformed_copy", sale_id=sale_id, fault=str(fault))
        return None


def read_row(stream_id: str, fields: Mapping[str, str]) -> CallRow:
    """An entry of the call log."""
    millis, count = stream_id.split("-")
    return CallRow(
        entry_id=f"{millis}-{int(count):06d}.{fields['store_id']}",  # sorts as text in the order of the log
        stream_id=stream_id,
        event=fields["event"],
        ticket_id=fields["ticket_id"],
        number=int(fields["number"]),
        turn=int(fields["turn"]),
        detail=fields["detail"],
        at_ms=int(fields["at_ms"]),
    )

"""The room: every call that the waiting room makes to Redis. One method is one step, one step is one script.

Async; knows neither HTTP nor SQL. Redis down, slow, emptied or restarted: RoomUnavailable, and nothing was changed; a step whose
reply was lost may be asked for again, all of them are idempotent. The client gives text (decode_responses) and retries nothing.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from waiting_room import scripts
from waiting_room.books import DrawBook
from waiting_room.challenge import PAUSE_MS, Arrival
from waiting_room.collector import Argument, Collector, unavailable
from waiting_room.digest import Digest, News
from waiting_room.joining import Joining
from waiting_room.keys import SaleKeys
from waiting_room.line_state import LineReply, LineState, line_state
from waiting_room.oversight import Oversight
from waiting_room.place import Around, Place, Seen, place_of, scene_of
from waiting_room.polling import PollLimits
from waiting_room.recovery import Loss, Served, turns_before
from waiting_room.refusals import (
    AlreadyExtended,
    ChallengeRequired,
    Halted,
    LineClosed,
    NotCalled,
    NotCalledYet,
    NoTicket,
    OrderOpen,
    PauseTooSoon,
    ProofSpent,
    RoomError,
    SoldOut,
    TooEarly,
    TurnLapsed,
)
from waiting_room.ticket import ID_LENGTH, Ticket
from waiting_room.ticking import Beat, CallRow, TickRefusal, TickReply

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


class _Record(msgspec.Struct, frozen=True):
    turn: int
    jti: str
    iat: int
    exp: int
    kid: str
    account_id: str


class _ClaimReply(msgspec.Struct, frozen=True):
    record: _Record | None = None
    early: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True, slots=True)
class Claim:
    """What a pass is made of, the same on every claim of the same turn. `iat` and `exp` in unix seconds."""

    jti: str
    iat: int
    exp: int
    kid: str
    turn: int
    account_id: str


class Room:
    """The lines of all sales in one Redis. `unseen_ms`: how long a called ticket may go unseen; `within_s`: the longest
    wait for an answer of Redis; `chance` spreads the polls and gives floats in [0, 1); `source` gives a script's text by its name.
    """

    def __init__(
        self,
        client: Redis,
        *,
        unseen_ms: int = 45_000,
        polls: PollLimits | None = None,
        within_s: float = 1.0,
        chance: Callable[[], float] = random.random,
        source: Callable[[str], str] = scripts.source,
    ) -> None:
        self._client = client
        self._unseen_ms = unseen_ms
        self._polls = polls or PollLimits()
        self._within_s = within_s
        self._chance = chance
        self._scripts = Collector(client, within_s=within_s, source=source)
        self._joining = Joining(self._scripts)

    # ------------------------------------------------------------ buyers

    async def join(
        self,
        sale_id: str,
        ticket_id: str,
        shown: Ticket | None = None,
        arrival: Arrival | None = None,
        *,
        lot: str = "",
    ) -> Place:
        """Take a place at the end of the line, or find the own one; a missed turn's buyer goes back to the own place.

        `shown` is the buyer's signed ticket: what an earlier store gave out brings its place back. `arrival` is asked for where
        a new place is given; without one nothing is counted. `lot` is the ticket's place in the lobby of a draw
        (waiting_room.draw.lot), "" in a FIFO sale.

        Raises TooEarly, LineClosed, SoldOut, ChallengeRequired (they use up no number), RoomUnavailable.
        """
        door, args = _at_the_door(sale_id, arrival)
        told = await self._joining.join(
            sale_id, _keys(sale_id)[:18], door, (ticket_id, *_shown(shown), lot, *args)
        )
        if told.answer.startswith("failed"):
            log.error("join_failed", sale_id=sale_id, ticket_id=ticket_id, fault=told.answer)
            raise unavailable("the line's store refused a step")
        seen = _granted(told.answer)
        if told.scene is None:
            raise ValueError("a place was told without the sale around it")
        return place_of(told.scene, msgspec.json.decode(seen, type=Seen), self._polls, self._chance())

    async def look(
        self, sale_id: str, ticket_id: str, shown: Ticket | None = None, *, lot: str = ""
    ) -> Place:
        """A poll: one Redis command. The first after the call marks the ticket seen. `shown` and `lot` as with `join`.

        Raises NoTicket, RoomUnavailable.
        """
        return self._place(await self._ask("look", sale_id, 18, ticket_id, *_shown(shown), lot))

    async def leave(
        self, sale_id: str, ticket_id: str, shown: Ticket | None = None, *, lot: str = ""
    ) -> None:
        """Give the place or the slot up; twice is once. `shown`, `lot` as with `join`. Raises OrderOpen, RoomUnavailable."""
        await self._ask("leave", sale_id, 18, ticket_id, *_shown(shown), lot, word="left")

    async def adopt(
        self, sale_id: str, device_ticket_id: str, ticket_id: str, shown: Ticket | None = None
    ) -> bool:
        """Move a device's place to its buyer's account; whether there was one. Of two places the lower number stays, the other ends.

        A turn moves with the time that is left of it. `shown` is the device's signed ticket. Twice is once.
        Raises RoomUnavailable.
        """
        ids = (device_ticket_id, ticket_id)
        reply = await self._scripts.run("adopt", _keys(sale_id)[:18], (*ids, *_shown(shown)))
        if reply not in ("moved", "ended", "nothing"):
            raise _refusal(reply)
        return reply != "nothing"

    async def extend(self, sale_id: str, ticket_id: str) -> Place:
        """One more turn window. Raises NoTicket, NotCalled, AlreadyExtended, RoomUnavailable."""
        return self._place(await self._ask("extend", sale_id, 9, ticket_id))

    async def claim(self, sale_id: str, ticket_id: str, account_id: str, *, kid: str) -> Claim:
        """Take the turn: the called ticket becomes admitted. `kid` names the key that will sign the pass.

        A claim of the same turn again gives the same values. Raises NoTicket, NotCalledYet, TurnLapsed, Halted, RoomUnavailable.
        """
        reply = await self._ask("claim", sale_id, 12, ticket_id, account_id, kid)
        answer = msgspec.json.decode(reply, type=_ClaimReply)
        if answer.record is None:
            place = self._place(bytes(answer.early))
            raise NotCalledYet(retry_after_s=math.ceil(place.poll_after_ms / 1000))
        taken = answer.record
        return Claim(taken.jti, taken.iat, taken.exp, taken.kid, taken.turn, taken.account_id)

    # ------------------------------------------------------------ everybody, and operators

    async def lines(self, sale_ids: Sequence[str]) -> dict[str, LineState]:
        """The state of several lines in one round trip; a sale whose settings are not there is not in the answer."""
        replies = await asyncio.gather(
            *(self._scripts.run("line", _keys(sale_id)[:14], ()) for sale_id in sale_ids)
        )
        states = (_line_state(*pair) for pair in zip(sale_ids, replies, strict=True))
        return {state.sale_id: state for state in states if state is not None}

    async def digest_news(self, sale_id: str, gone_known: int, known_ms: int) -> News:
        """What is new in a line's digest: for who knows so many gone numbers, and the digest of `known_ms`. Raises RoomUnavailable."""
        reply = await self._scripts.run("digest_news", _keys(sale_id), (gone_known, known_ms))
        numbers, _, text = reply.partition("\n")
        gone = [word if len(word) == ID_LENGTH else int(word) for word in numbers.split()]
        if text in ("", "-"):
            return News(gone, digest=None, unchanged=text == "")
        return News(gone, msgspec.json.decode(text, type=Digest))

    async def oversee(self, sale_id: str) -> Oversight:
        """What operators watch beside the state of the line. Raises RoomUnavailable."""
        keys = (*_keys(sale_id)[:16], SaleKeys(sale_id).standby)
        return msgspec.json.decode(await self._scripts.run("figures", keys, ()), type=Oversight)

    # ------------------------------------------------------------ the controller

    async def take_lease(self, sale_id: str, token: str, lease_ms: int) -> bool:
        """Become or stay the sale's leader; False while another one is. Raises RoomUnavailable."""
        keys = (*_keys(sale_id)[:14], SaleKeys(sale_id).standby)
        return await self._scripts.run("lease", keys, (token, lease_ms)) == "mine"

    async def release_lease(self, sale_id: str, token: str) -> None:
        """Stop being the leader. Raises RoomUnavailable."""
        await self._scripts.run("release", _keys(sale_id)[:14], (token,))

    async def tick(self, sale_id: str, token: str, beat: Beat) -> TickReply | TickRefusal:
        """One step of the admission. After RoomUnavailable the same beat may be sent again: it takes effect once."""
        allowed = beat.allowance
        limits = (allowed.rate, allowed.stock, allowed.backlog)
        args = (token, beat.tick_id, beat.dt_ms, beat.lease_ms, *limits, self._unseen_ms, beat.hold)
        reply = await self._scripts.run("tick", _keys(sale_id)[:16], args)
        if reply.startswith("{"):
            return msgspec.json.decode(reply, type=TickReply)
        return TickRefusal(reply)

    async def write_digest(self, sale_id: str, token: str) -> str:
        """Write the digest anew: "written", or why not: "not_leader", "unconfirmed", "unpublished". Raises RoomUnavailable."""
        return await self._scripts.run("digest", _keys(sale_id), (token,))

    async def lay_served(self, sale_id: str, token: str, served: Sequence[Served], lease_ms: int) -> str:
        """Lay again what is known of those who were called, before the store is confirmed.

        Returns "laid", or why not: "not_leader", "unpublished", "confirmed" (too late).
        """
        told = msgspec.json.encode(served).decode()
        return await self._scripts.run("relay", _keys(sale_id), (token, told, lease_ms))

    async def confirm_store(
        self,
        sale_id: str,
        token: str,
        store_id: str,
        first: int,
        last: int,
        *,
        loss: Loss | None = None,
        drawn: DrawBook | None = None,
    ) -> str:
        """Confirm the store for this run of the server, with a new block of numbers; `loss` says what is not known any more,
        `drawn` what the books know of the sale's draw.

        Returns "confirmed", or why not: "not_leader", "unpublished", "stale" (numbers that were given before).
        """
        lost = loss or Loss()
        what = (int(loss is not None), turns_before(first), lost.copied_ms, int(not lost.log_read))
        args = (token, store_id, first, last, *what, self._polls.ceiling_ms, *_stage(drawn))
        return await self._scripts.run("confirm", _keys(sale_id)[:14], args)

    async def give_block(self, sale_id: str, token: str, first: int, last: int) -> str:
        """Lay the next block of numbers ready: "laid", "not_needed", "stale", "not_leader" or "unconfirmed"."""
        return await self._scripts.run("block", _keys(sale_id)[:14], (token, first, last))

    async def draw_step(
        self,
        script: Literal["lobby", "number", "unnumbered", "drawn"],
        sale_id: str,
        token: str,
        *args: Argument,
    ) -> str:
        """One step of a draw (scripts/<script>.lua), made by the sale's leader alone. Raises RoomUnavailable."""
        return await self._scripts.run(script, _keys(sale_id)[:14], (token, *args))

    async def read_calls(self, sale_id: str, count: int) -> list[CallRow]:
        """The oldest entries of the call log. Raises RoomUnavailable."""
        entries = await self._plain(self._client.xrange(SaleKeys(sale_id).calls, count=count))
        return [_row(stream_id, fields) for stream_id, fields in entries]

    async def trim_calls(self, sale_id: str, stream_id: str) -> None:
        """Drop the call log up to and including an entry that was copied, together with all before it."""
        instant, _, serial = stream_id.partition("-")
        after = f"{instant}-{int(serial) + 1}"
        await self._plain(self._client.xtrim(SaleKeys(sale_id).calls, minid=after, approximate=False))

    # ------------------------------------------------------------ how

    def _place(self, reply: str | bytes) -> Place:
        scene = scene_of(msgspec.json.decode(reply, type=Around))
        return place_of(scene, msgspec.json.decode(reply, type=Seen), self._polls, self._chance())

    async def _ask(self, script: str, sale_id: str, keys: int, *args: Argument, word: str = "") -> str:
        """The script's answer when it is JSON or the expected word; every other word is a refusal."""
        return _granted(await self._scripts.run(script, _keys(sale_id)[:keys], args), word)

    async def _plain(self, command: Any) -> Any:
        try:
            async with asyncio.timeout(self._within_s):
                return await command
        except (RedisError, OSError, TimeoutError) as fault:
            raise unavailable("the line's store does not answer") from fault


def _line_state(sale_id: str, reply: str) -> LineState | None:
    """None for a sale whose copies are missing or malformed: it is not known, and keeps no other from being shown."""
    if not reply.startswith("{"):
        return None
    try:
        return line_state(sale_id, msgspec.json.decode(reply, type=LineReply))
    except ValueError as fault:
        log.error("malformed_copy", sale_id=sale_id, fault=str(fault))
        return None


def _granted(reply: str, word: str = "") -> str:
    """The answer when it is JSON or the expected word; every other word is a refusal."""
    if reply == word or reply.startswith("{"):
        return reply
    raise _refusal(reply)


def _refusal(word: str) -> RoomError:
    if word in UNAVAILABLE:
        return unavailable(UNAVAILABLE[word])
    refusal, why = REFUSALS[word]
    return refusal(why)


@lru_cache(maxsize=256)
def _keys(sale_id: str) -> tuple[str, ...]:
    """All keys in the order of scripts/_shared.lua."""
    keys = SaleKeys(sale_id)
    return (
        keys.settings, keys.stock, keys.room, keys.line, keys.served, keys.turns, keys.unseen, keys.missed, keys.shopping,
        keys.ordering, keys.passes, keys.calls, keys.window, keys.lease, keys.outcomes, keys.lane, keys.digest,
        keys.gone,
    )  # fmt: skip


def _at_the_door(sale_id: str, arrival: Arrival | None) -> tuple[Sequence[str], Sequence[Argument]]:
    """The keys and arguments by which join.lua counts networks and spends proofs."""
    come, keys = arrival or Arrival(now_ms=0), SaleKeys(sale_id)
    proof = come.proof
    named = (
        keys.joins(come.now_ms // 60_000),
        keys.spent(proof.proof_id if proof else ""),
        keys.paused(come.network),
    )
    if proof is None or come.now_ms < proof.ready_ms:
        return named, (come.network, come.free_a_minute, 0, 0)
    spacing_ms = PAUSE_MS if proof.is_pause and come.network else 0
    return named, (come.network, come.free_a_minute, proof.expires_ms - come.now_ms, spacing_ms)


def _shown(shown: Ticket | None) -> tuple[Argument, Argument]:
    return (0, "") if shown is None else (shown.number, shown.store_id)


def _stage(drawn: DrawBook | None) -> tuple[str, int, int]:
    return ("", 0, 0) if drawn is None else (drawn.stage, drawn.opened_ms or 0, drawn.size or 0)


def _row(stream_id: str, fields: dict[str, str]) -> CallRow:
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

"""The room: every call that the waiting room makes to Redis. One method is one step, one step is one script.

Async; knows neither HTTP nor SQL. Redis down, slow, emptied or restarted: RoomUnavailable, and nothing was changed; a step whose
reply was lost may be asked for again, all of them are idempotent. The client gives text (decode_responses) and retries nothing.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
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
from waiting_room.keys import SaleKeys, keys_in_order
from waiting_room.line_state import LineState
from waiting_room.oversight import Oversight
from waiting_room.place import Around, Place, Seen, place_of, scene_of
from waiting_room.polling import PollLimits
from waiting_room.recovery import Loss, Served, turns_before
from waiting_room.refusals import NotCalledYet
from waiting_room.replies import Claim, ClaimReply, granted, read_line, read_row, refusal_of
from waiting_room.ticket import ID_LENGTH, Ticket
from waiting_room.ticking import Beat, CallRow, TickRefusal, TickReply
from waiting_room.together import Said, Together

log = structlog.get_logger(__name__)


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
        self._joins = Together(self._scripts, "join")
        self._looks = Together(self._scripts, "look")

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
        asks = (ticket_id, *_shown(shown), lot, *args)
        return self._said(ticket_id, await self._joins.ask(sale_id, keys_in_order(sale_id), asks, door))

    async def look(
        self, sale_id: str, ticket_id: str, shown: Ticket | None = None, *, lot: str = ""
    ) -> Place:
        """A poll: one Redis command at most. The first after the call marks the ticket seen. `shown` and `lot` as with `join`.

        Raises NoTicket, RoomUnavailable.
        """
        asks = (ticket_id, *_shown(shown), lot)
        return self._said(ticket_id, await self._looks.ask(sale_id, keys_in_order(sale_id), asks))

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
        reply = await self._scripts.run("adopt", keys_in_order(sale_id), (*ids, *_shown(shown)))
        if reply not in ("moved", "ended", "nothing"):
            raise refusal_of(reply)
        return reply != "nothing"

    async def extend(self, sale_id: str, ticket_id: str) -> Place:
        """One more turn window. Raises NoTicket, NotCalled, AlreadyExtended, RoomUnavailable."""
        return self._place(await self._ask("extend", sale_id, 9, ticket_id))

    async def claim(self, sale_id: str, ticket_id: str, account_id: str, *, kid: str) -> Claim:
        """Take the turn: the called ticket becomes admitted. `kid` names the key that will sign the pass.

        A claim of the same turn again gives the same values while they are good, then what its slot has left.

        Raises NoTicket, NotCalledYet, TurnLapsed, Halted, RoomUnavailable.
        """
        reply = await self._ask("claim", sale_id, 12, ticket_id, account_id, kid)
        answer = msgspec.json.decode(reply, type=ClaimReply)
        if answer.record is None:
            place = self._place(bytes(answer.early))
            raise NotCalledYet(retry_after_s=math.ceil(place.poll_after_ms / 1000))
        return answer.record

    # ------------------------------------------------------------ everybody, and operators

    async def lines(self, sale_ids: Sequence[str]) -> dict[str, LineState]:
        """The state of several lines in one round trip; a sale whose settings are not there is not in the answer."""
        replies = await asyncio.gather(
            *(self._scripts.run("line", keys_in_order(sale_id)[:14], ()) for sale_id in sale_ids)
        )
        states = (read_line(*pair) for pair in zip(sale_ids, replies, strict=True))
        return {state.sale_id: state for state in states if state is not None}

    async def digest_news(self, sale_id: str, gone_known: int, known_ms: int) -> News:
        """What is new in a line's digest: for who knows so many gone numbers, and the digest of `known_ms`. Raises RoomUnavailable."""
        reply = await self._scripts.run("digest_news", keys_in_order(sale_id), (gone_known, known_ms))
        numbers, _, text = reply.partition("\n")
        gone = [word if len(word) == ID_LENGTH else int(word) for word in numbers.split()]
        if text in ("", "-"):
            return News(gone, digest=None, unchanged=text == "")
        return News(gone, msgspec.json.decode(text, type=Digest))

    async def oversee(self, sale_id: str) -> Oversight:
        """What operators watch beside the state of the line. Raises RoomUnavailable."""
        keys = (*keys_in_order(sale_id)[:16], SaleKeys(sale_id).standby)
        return msgspec.json.decode(await self._scripts.run("figures", keys, ()), type=Oversight)

    # ------------------------------------------------------------ the controller

    async def take_lease(self, sale_id: str, token: str, lease_ms: int) -> bool:
        """Become or stay the sale's leader; False while another one is. Raises RoomUnavailable."""
        keys = (*keys_in_order(sale_id)[:14], SaleKeys(sale_id).standby)
        return await self._scripts.run("lease", keys, (token, lease_ms)) == "mine"

    async def release_lease(self, sale_id: str, token: str) -> None:
        """Stop being the leader. Raises RoomUnavailable."""
        await self._scripts.run("release", keys_in_order(sale_id)[:14], (token,))

    async def tick(self, sale_id: str, token: str, beat: Beat) -> TickReply | TickRefusal:
        """One step of the admission. After RoomUnavailable the same beat may be sent again: it takes effect once."""
        allowed = beat.allowance
        limits = (allowed.rate, allowed.stock, allowed.backlog)
        args = (token, beat.tick_id, beat.dt_ms, beat.lease_ms, *limits, self._unseen_ms, beat.hold)
        reply = await self._scripts.run("tick", keys_in_order(sale_id)[:16], args)
        if reply.startswith("{"):
            return msgspec.json.decode(reply, type=TickReply)
        return TickRefusal(reply)

    async def write_digest(self, sale_id: str, token: str) -> str:
        """Write the digest anew: "written", or why not: "not_leader", "unconfirmed", "unpublished". Raises RoomUnavailable."""
        return await self._scripts.run("digest", keys_in_order(sale_id), (token,))

    async def lay_served(self, sale_id: str, token: str, served: Sequence[Served], lease_ms: int) -> str:
        """Lay again what is known of those who were called, before the store is confirmed.

        Returns "laid", or why not: "not_leader", "unpublished", "confirmed" (too late).
        """
        told = msgspec.json.encode(served).decode()
        return await self._scripts.run("relay", keys_in_order(sale_id), (token, told, lease_ms))

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
        return await self._scripts.run("confirm", keys_in_order(sale_id)[:14], args)

    async def give_block(self, sale_id: str, token: str, first: int, last: int) -> str:
        """Lay the next block of numbers ready: "laid", "not_needed", "stale", "not_leader" or "unconfirmed"."""
        return await self._scripts.run("block", keys_in_order(sale_id)[:14], (token, first, last))

    async def draw_step(
        self,
        script: Literal["lobby", "number", "unnumbered", "drawn"],
        sale_id: str,
        token: str,
        *args: Argument,
    ) -> str:
        """One step of a draw (scripts/<script>.lua), made by the sale's leader alone. Raises RoomUnavailable."""
        return await self._scripts.run(script, keys_in_order(sale_id)[:14], (token, *args))

    async def read_calls(self, sale_id: str, count: int) -> list[CallRow]:
        """The oldest entries of the call log. Raises RoomUnavailable."""
        entries = await self._plain(self._client.xrange(SaleKeys(sale_id).calls, count=count))
        return [read_row(stream_id, fields) for stream_id, fields in entries]

    async def trim_calls(self, sale_id: str, stream_id: str) -> None:
        """Drop the call log up to and including an entry that was copied, together with all before it."""
        instant, _, serial = stream_id.partition("-")
        after = f"{instant}-{int(serial) + 1}"
        await self._plain(self._client.xtrim(SaleKeys(sale_id).calls, minid=after, approximate=False))

    # ------------------------------------------------------------ how

    def _said(self, ticket_id: str, said: Said) -> Place:
        """The place that a script which serves many has told to the holder of this ticket."""
        if said.answer.startswith("failed"):
            log.error("buyer_not_served", ticket_id=ticket_id, fault=said.answer)
            raise unavailable("the line's store refused a step")
        seen = granted(said.answer)
        if said.scene is None:
            raise ValueError("a place was told without the sale around it")
        return place_of(said.scene, msgspec.json.decode(seen, type=Seen), self._polls, self._chance())

    def _place(self, reply: str | bytes) -> Place:
        scene = scene_of(msgspec.json.decode(reply, type=Around))
        return place_of(scene, msgspec.json.decode(reply, type=Seen), self._polls, self._chance())

    async def _ask(self, script: str, sale_id: str, keys: int, *args: Argument, word: str = "") -> str:
        """The script's answer when it is JSON or the expected word; every other word is a refusal."""
        return granted(await self._scripts.run(script, keys_in_order(sale_id)[:keys], args), word)

    async def _plain(self, command: Any) -> Any:
        try:
            async with asyncio.timeout(self._within_s):
                return await command
        except (RedisError, OSError, TimeoutError) as fault:
            raise unavailable("the line's store does not answer") from fault


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

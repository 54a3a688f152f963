"""The gateway's side of the lanes: accepted orders in the order of their acceptance, one Redis list for each sale.

The gateway appends (`Lanes.accept`, one script call). A worker reads from the head and takes off what is decided
(`workers.lane_reader`), and a doorbell that carries no order tells the workers that somebody waits (`workers.doorbell`). Nothing
here decides: Redis refuses early, the drain decides. Knows Redis, neither HTTP nor SQL.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from shop.orders.entry import EntryLine, OrderEntry, decode_entry, encode_entry, first_entry
from waiting_room.collector import Collector
from waiting_room.keys import SaleKeys
from workers import scripts
from workers.refusals import (
    HaltedLane,
    KeyReused,
    LaneBusy,
    LaneRecovering,
    LaneUnavailable,
    NotOnSale,
    OverLimit,
    PassUsed,
    Refused,
    SaleClosed,
    SoldOutEarly,
)

RECORD_S = 24 * 3600  # how long an Idempotency-Key is remembered
BELL_MS = 1000


class OrderDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway has checked and asks to be accepted: an `OrderEntry` without its place in the lane.

    Fields and their order are those of `OrderEntry`. `lines` name each product once, with quantities above 0.
    """

    order_id: str
    sale_id: str
    account_id: str
    pass_jti: str
    pass_exp_ms: int
    lines: list[EntryLine]
    address_id: str | None
    fingerprint: str
    receipt_key: str = ""
    good_until_ms: int = 0

    @property
    def ticket_id(self) -> str:
        """The ticket whose pass this is: a jti is the ticket id and the number of its turn."""
        return ticket_of(self.pass_jti)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted order. `replayed`: accepted before by the same request. `ring`: a doorbell shall be rung."""

    entry: OrderEntry
    replayed: bool
    ring: bool


def ticket_of(jti: str) -> str:
    """The ticket id in a pass's jti."""
    return jti.rpartition(".")[0]


def fingerprint(lines: Sequence[EntryLine], address_id: str | None) -> str:
    """Hash of an order's body in canonical form, by which a reused Idempotency-Key is told from a repeated request."""
    canonical = msgspec.json.encode([[[line.product_id, line.quantity] for line in lines], address_id])
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()[:18]).decode()


class Lanes:
    """The gateway's side of all lanes.

    `client` decodes replies to text and repeats nothing by itself, and answers `within_s`. `max_age_s` and `max_length` are the limits beyond which a
    lane is busy; `slot_grace_s` is added to a sale's hold time for the backstop of the buyer's slot.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        max_age_s: float = 10,
        max_length: int = 5000,
        slot_grace_s: float = 30,
        within_s: float = 1.0,
    ) -> None:
        self._redis = client
        self._max_age_ms = int(max_age_s * 1000)
        self._max_length = max_length
        self._slot_grace_ms = int(slot_grace_s * 1000)
        self._scripts = Collector(client, within_s=within_s, source=scripts.source, refuse=LaneUnavailable)

    async def accept(self, draft: OrderDraft) -> Accepted:
        """Append the order to its lane, or find it accepted before; one script call.

        The entry of a repeated request equals the first one to the byte. Raises a `Refused` (nothing was used up) or
        `LaneUnavailable` (unknown; repeat it with the same key).
        """
        match await self._scripts.ask("accept", _accept_keys(draft), self._accept_args(draft)):
            case ["accepted", entry, ring]:
                return Accepted(decode_entry(entry), replayed=False, ring=bool(ring))
            case ["replayed", entry]:
                return Accepted(decode_entry(entry), replayed=True, ring=False)
            case [word, *detail]:
                raise _refusal(word, detail)
            case reply:
                raise AssertionError(f"accept.lua answered {reply!r}")

    async def restore(self, entry: OrderEntry) -> bool:
        """Take back an accepted order that this store has lost; whether a doorbell shall be rung. Once, however often it is asked.

        Raises `LaneRecovering` while the store is not confirmed, or `LaneUnavailable`.
        """
        head = [entry.order_id, ticket_of(entry.pass_jti), entry.pass_jti]
        limits = [self._slot_grace_ms, RECORD_S, BELL_MS]
        args: list[str | int | bytes] = [encode_entry(entry), *head, entry.accepted_no, *limits]
        reply = await self._scripts.ask("restore", _restore_keys(entry), args)
        if reply[0] == "lane_recovering":
            raise LaneRecovering()
        return bool(reply[1])

    async def peek(self, sale_id: str, order_id: str) -> OrderEntry | None:
        """The order as it was accepted, decided or not; None if this store does not know it (any more)."""
        try:
            entry = await self._redis.get(SaleKeys(sale_id).order(order_id))
        except RedisError as error:
            raise LaneUnavailable("Redis did not answer") from error
        return None if entry is None else decode_entry(entry)

    async def peek_any(self, sale_ids: Sequence[str], order_id: str) -> OrderEntry | None:
        """As `peek`, for whoever does not know in which of these sales the order was placed; one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for sale_id in sale_ids:
            pipeline.get(SaleKeys(sale_id).order(order_id))
        try:
            entries = await pipeline.execute() if sale_ids else []
        except RedisError as error:
            raise LaneUnavailable("Redis did not answer") from error
        return first_entry(entries)

    def _accept_args(self, draft: OrderDraft) -> list[str | int | bytes]:
        limits = [self._max_age_ms, self._max_length, self._slot_grace_ms, RECORD_S, BELL_MS]
        lines = [value for line in draft.lines for value in (line.product_id, line.quantity)]
        head = [draft.order_id, draft.ticket_id, draft.pass_jti, draft.fingerprint]
        return [msgspec.json.encode(draft), *head, *limits, *lines]


def _accept_keys(draft: OrderDraft) -> list[bytes]:
    *before, served = _keys_of_sale(draft.sale_id)
    return [*before, SaleKeys(draft.sale_id).order(draft.order_id).encode(), served]


@lru_cache(maxsize=256)
def _keys_of_sale(sale_id: str) -> list[bytes]:
    """The keys that are the same for every order of a sale, as they travel."""
    keys = SaleKeys(sale_id)
    names = [
        *(keys.settings, keys.stock, keys.room, keys.shopping, keys.ordering, keys.lane),
        *(keys.lane_open, keys.lane_accepted, keys.lane_bell, keys.passes, keys.served),
    ]
    return [name.encode() for name in names]


def _restore_keys(entry: OrderEntry) -> list[str]:
    keys = SaleKeys(entry.sale_id)
    return [
        *(keys.settings, keys.room, keys.shopping, keys.ordering, keys.served, keys.lane, keys.lane_open),
        *(keys.lane_accepted, keys.lane_bell, keys.lane_returned, keys.passes, keys.order(entry.order_id)),
    ]


def _refusal(word: str, detail: list[str]) -> Refused:
    match word, detail:
        case "key_reused", []:
            return KeyReused("this key stands for another order")
        case "lane_recovering", []:
            return LaneRecovering()
        case "halted", []:
            return HaltedLane()
        case "sale_closed", []:
            return SaleClosed("nothing is sold in this sale")
        case "pass_used", []:
            return PassUsed("a live order has this pass already")
        case "lane_busy", []:
            return LaneBusy(
                retry_after_s=random.randint(2, 5)
            )  # spread, so that they do not all come back at once
        case "not_on_sale", [product_id]:
            return NotOnSale(product_id)
        case "over_limit", [product_id]:
            return OverLimit(product_id)
        case "sold_out", [product_id]:
            return SoldOutEarly(product_id)
    raise AssertionError(f"accept.lua answered {word!r} {detail!r}")

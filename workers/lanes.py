"""The lane of a sale: accepted orders in the order of their acceptance, as a Redis list.

The gateway appends (`Lanes.accept`, one script call), a worker reads from the head and takes off what is decided
(`LaneReader`), and a doorbell that carries no order tells the workers that somebody waits (`Doorbell`). Nothing here decides:
Redis refuses early, the drain decides. Knows Redis and RQ, neither HTTP nor SQL.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import redis
import redis.asyncio
import structlog
from redis.exceptions import RedisError
from rq import Queue, Retry
from rq.serializers import JSONSerializer

from shop.orders.entry import EntryLine, OrderEntry, decode_entry, encode_entry
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

log = structlog.get_logger(__name__)

QUEUE_LANES = "lanes"
QUEUE_OUTBOX = "outbox"

RECORD_S = 24 * 3600  # how long an Idempotency-Key is remembered
RESULT_S = 3600
BELL_MS = 1000
MOST_WAITING = 5000  # of one lane that are looked at in one go
LATE_MARK_MS = 60_000
# A doorbell is worth nothing later: the sweeper rings again every second or two.
DOORBELL_TTL_S = 60
DRAIN_TIMEOUT_S = 30
DELIVER_TIMEOUT_S = 150
DOORBELL_FAILURE_S = 3600
DOORBELL_RETRIES = 3


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


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order, as published after the commit. A hint: the truth stands in the database."""

    order_id: str
    state: str
    seq: int | None = None
    reason: str | None = None


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
        return _first(entries)

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


def _first(entries: Iterable[str | None]) -> OrderEntry | None:
    return next((decode_entry(entry) for entry in entries if entry is not None), None)


class LaneReader:
    """The workers' side of all lanes. `client` decodes replies to text. Methods raise redis-py's RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._pop = client.register_script(scripts.source("pop_decided"))
        self._publish = client.register_script(scripts.source("publish"))
        self._append_late = client.register_script(scripts.source("append_late"))
        self._give_back = client.register_script(scripts.source("give_back"))

    def head(self, sale_id: str, count: int) -> list[OrderEntry]:
        """Up to `count` entries from the head, oldest first, left where they are.

        Puts the bell flag up first: orders that are accepted meanwhile need not ring, since whoever looks here looks again
        before it goes (`leave`).
        """
        keys = SaleKeys(sale_id)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(keys.lane_bell, "1", px=BELL_MS)
        pipeline.lrange(keys.lane, 0, count - 1)
        return [decode_entry(entry) for entry in pipeline.execute()[1]]

    def waiting(self, sale_ids: Sequence[str], at_most: int = MOST_WAITING) -> list[OrderEntry]:
        """The first `at_most` entries of each of these lanes, for whoever only looks; one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for sale_id in sale_ids:
            pipeline.lrange(SaleKeys(sale_id).lane, 0, at_most - 1)
        lanes = pipeline.execute() if sale_ids else []
        return [decode_entry(entry) for lane in lanes for entry in lane]

    def entry(self, sale_ids: Sequence[str], order_id: str) -> OrderEntry | None:
        """The order as one of these sales accepted it, decided or not; None if this store does not know it (any more)."""
        pipeline = self._redis.pipeline(transaction=False)
        for sale_id in sale_ids:
            pipeline.get(SaleKeys(sale_id).order(order_id))
        return _first(pipeline.execute() if sale_ids else [])

    def await_entry(self, sale_id: str, wait_s: float) -> bool:
        """Whether somebody waits in the lane, or comes within `wait_s`, which is below the client's own time limit."""
        lane = SaleKeys(sale_id).lane
        wait_s = max(0.01, wait_s)  # what Redis 6 and 7 round down to no milliseconds means for ever
        # Moving the head onto the head moves nothing; it is the one way to wait for an entry without taking it.
        return self._redis.blmove(lane, lane, wait_s, "LEFT", "LEFT") is not None  # type: ignore[arg-type]

    def leave(self, sale_id: str) -> int:
        """Take the bell flag down, so that an order accepted from now on rings again; then how many entries wait."""
        keys = SaleKeys(sale_id)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(keys.lane_bell)
        pipeline.llen(keys.lane)
        return int(pipeline.execute()[1])

    def append_late(self, entry: OrderEntry) -> bool:
        """Put late money at the end of its lane, unless it was put there within the last minute or the lane is not open."""
        keys = SaleKeys(entry.sale_id)
        marks = [keys.lane, keys.lane_open, keys.late(entry.lane_id)]
        return bool(self._append_late(keys=marks, args=[encode_entry(entry), LATE_MARK_MS]))

    def take_bell(self, sale_id: str) -> bool:
        """Whether the caller is the one who shall ring; nobody else is told so within the next second."""
        return bool(self._redis.set(SaleKeys(sale_id).lane_bell, "1", nx=True, px=BELL_MS))

    def length(self, sale_id: str) -> int:
        """How many entries wait."""
        return int(self._redis.llen(SaleKeys(sale_id).lane))

    def lengths(self, sale_ids: Sequence[str]) -> dict[str, int]:
        """How many entries wait in each lane, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for sale_id in sale_ids:
            pipeline.llen(SaleKeys(sale_id).lane)
        return dict(zip(sale_ids, map(int, pipeline.execute()), strict=True))

    def publish_results(self, sale_id: str, decisions: Iterable[Decision]) -> None:
        """Lay down what was decided, for whoever looks before asking the database."""
        keys = SaleKeys(sale_id)
        results = {keys.result(decision.order_id): msgspec.json.encode(decision) for decision in decisions}
        if results:
            self._publish(keys=list(results), args=[RESULT_S, *results.values()])

    def give_back(self, sale_id: str, rejected: Iterable[tuple[str, str]]) -> int:
        """Drop the pass marks of rejected orders, given as (jti, order id); the number dropped."""
        pairs = [value for pair in rejected for value in pair]
        return int(self._give_back(keys=[SaleKeys(sale_id).passes], args=pairs)) if pairs else 0

    def pop_decided(self, sale_id: str, lane_ids: Iterable[str]) -> int:
        """Take these entries off the head, stopping at the first that is another; the number taken."""
        known = list(lane_ids)
        return int(self._pop(keys=[SaleKeys(sale_id).lane], args=known)) if known else 0


class Doorbell:
    """Wakes a worker for a lane. `client` is RQ's own: replies as bytes. Call it off the event loop."""

    def __init__(self, client: redis.Redis) -> None:
        self._lanes = Queue(QUEUE_LANES, connection=client, serializer=JSONSerializer)
        self._outbox = Queue(QUEUE_OUTBOX, connection=client, serializer=JSONSerializer)

    def ring(self, sale_id: str) -> bool:
        """Ring for one lane. Failing is no error, only False: the sweeper rings again where entries wait."""
        return self._enqueue(self._lanes, DRAIN_TIMEOUT_S, "workers.jobs.drain", sale_id)

    def others_wait(self) -> bool:
        """Whether doorbells wait for a worker. Raises redis-py's RedisError."""
        return self._lanes.count > 0

    def ring_outbox(self) -> bool:
        """Wake a worker for the outbox, unless one is on its way."""
        try:
            waiting = self._outbox.count
        except RedisError as error:
            log.warning("doorbell_failed", queue=QUEUE_OUTBOX, error=str(error))
            return False
        return waiting == 0 and self._enqueue(self._outbox, DELIVER_TIMEOUT_S, "workers.jobs.deliver")

    def _enqueue(self, queue: Queue, timeout_s: int, job: str, *args: str) -> bool:
        try:
            queue.enqueue(
                job,
                *args,
                job_timeout=timeout_s,
                ttl=DOORBELL_TTL_S,
                result_ttl=0,
                failure_ttl=DOORBELL_FAILURE_S,
                retry=Retry(max=DOORBELL_RETRIES),
            )
        except RedisError as error:
            log.warning("doorbell_failed", queue=queue.name, error=str(error))
            return False
        return True

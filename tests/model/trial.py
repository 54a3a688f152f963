"""One trace on both: the reference in Python and the real scripts on a real Redis, compared after every step.

Every trial is a sale of its own, so that hundreds run side by side on one server and share its round trips. The one thing that is
not as in the product: the scripts read the wall clock of their sale from a key, so that a trace may set it.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from redis.asyncio import Redis

from shop.orders.entry import EntryLine
from tests.model import laws, reference, steps
from tests.model.reference import Answer
from tests.model.steps import NEWEST, NONE, Step
from waiting_room import scripts
from waiting_room.collector import Collector
from waiting_room.confirmation import Confirmation
from waiting_room.keys import SaleKeys
from waiting_room.pace import Allowance
from waiting_room.place import Place
from waiting_room.polling import PollLimits
from waiting_room.recovery import Ledger, OrderRow
from waiting_room.refusals import RoomError
from waiting_room.room import Claim, Room
from waiting_room.ticket import Ticket
from waiting_room.ticking import Beat, CallRow, TickRefusal, TickReply
from workers.lanes import Lanes, OrderDraft
from workers.refusals import Refused

START_MS = 1_700_000_000_000
UNSEEN_MS = 2_000
CEILING_MS = 5_000
SLOT_GRACE_MS = 2_000
LEASE_MS = 600_000
LEADER = "the-leader"
_SALES = itertools.count()

# Everything that the room keeps of a sale, as one JSON object.
SNAPSHOT = """
local function pairs_of(reply)
  local told = {}
  for at = 1, #reply, 2 do told[reply[at]] = reply[at + 1] end
  return told
end
local told = {}
for name, key in pairs({line = LINE, turns = TURNS, unseen = UNSEEN, missed = MISSED, shopping = SHOPPING, ordering = ORDERING}) do
  told[name] = pairs_of(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'))
end
told.passes, told.served = pairs_of(redis.call('HGETALL', PASSES)), pairs_of(redis.call('HGETALL', SERVED))
told.outcomes, told.window = redis.call('LRANGE', KEYS[15], 0, -1), redis.call('LRANGE', KEYS[13], 0, -1)
told.log = {}
for at, entry in ipairs(redis.call('XRANGE', CALLS, '-', '+')) do
  local row = pairs_of(entry[2])
  told.log[at] = {row.event, row.ticket_id, row.number, row.turn, row.detail}
end
return cjson.encode(told)
"""


def source_with_a_clock_of_its_own(name: str) -> str:
    """A script as the product loads it, but for the wall clock."""
    text = SNAPSHOT if name == "snapshot" else ""
    text = scripts.source(name) if not text else scripts.source("look").split("-- Look at a ticket")[0] + text
    asked = "local time = redis.call('TIME')"
    assert text.count("'TIME'") == text.count(asked) == 1, f"{name}.lua asks for the time in more than one place"
    return text.replace(asked, "local at = tonumber(redis.call('GET', KEYS[1] .. ':wall'))\n  local time = {math.floor(at / 1000), at % 1000 * 1000}")  # fmt: skip


class Disagreement(AssertionError):
    """The reference and the scripts do not agree, or a law does not hold."""


@dataclass
class Books:
    """The database, as far as the room knows one: settings, blocks of numbers, the copied log, orders."""

    client: Redis
    keys: SaleKeys
    settings: reference.Settings
    rows: dict[str, CallRow] = field(default_factory=dict)
    orders: dict[str, OrderRow] = field(default_factory=dict)
    copied_ms: int | None = None
    next_number: int = 1
    block: tuple[int, int] = (0, 0)

    async def publish(self, sale_id: str) -> None:  # noqa: ARG002 (the port)
        """As workers.publish lays it."""
        told = self.settings
        fields = {name: str(value) for name, value in vars(told).items() if name not in ("allotted", "held", "sold")}
        fields |= {"version": "1", "slug": "demo", "title": "A sale", "mode": "fifo", "over_call_limit": "100"}
        stock = {"version": "1", "allotted": told.allotted, "held": told.held, "sold": told.sold}
        stock["item:p"] = f"{told.allotted}:{told.held}:{told.sold}:2"
        pipeline = self.client.pipeline(transaction=False)
        pipeline.hset(self.keys.settings, mapping=fields)
        pipeline.hset(self.keys.stock, mapping=stock)
        pipeline.set(self.keys.lane_open, "1")
        await pipeline.execute()

    async def next_block(self, sale_id: str, size: int) -> tuple[int, int]:  # noqa: ARG002
        self.block = (self.next_number, self.next_number + size - 1)
        self.next_number += size
        return self.block

    async def copy_calls(self, sale_id: str, rows: Sequence[CallRow]) -> None:  # noqa: ARG002
        for row in rows:
            self.rows.setdefault(row.entry_id, row)

    async def note_copied(self, sale_id: str, at_ms: int) -> None:  # noqa: ARG002
        self.copied_ms = max(at_ms, self.copied_ms or 0)

    async def whole_until(self, sale_id: str) -> int | None:  # noqa: ARG002
        return self.copied_ms

    async def calls_after(self, sale_id: str, entry_id: str, count: int) -> Sequence[CallRow]:  # noqa: ARG002
        return [self.rows[one] for one in sorted(self.rows) if one > entry_id][:count]

    async def orders_after(self, sale_id: str, order_id: str, count: int) -> Sequence[OrderRow]:  # noqa: ARG002
        return [self.orders[one] for one in sorted(self.orders) if one > order_id][:count]

    async def live_sales(self) -> Sequence[Any]:
        raise NotImplementedError

    def ledger(self) -> Ledger:
        ledger = Ledger()
        ledger.read_calls(self.rows[one] for one in sorted(self.rows))
        ledger.read_orders(self.orders[one] for one in sorted(self.orders))
        return ledger


@dataclass
class Buyer:
    """What a buyer has in hand: all tickets and passes that they ever got."""

    ticket_id: str
    tickets: list[tuple[int, str]] = field(default_factory=list)
    passes: list[str] = field(default_factory=list)

    def shown(self, which: int) -> tuple[int, str] | None:
        if which == NONE or not self.tickets:
            return None
        return self.tickets[-1 if which == NEWEST else which % len(self.tickets)]

    def pass_of(self, which: int) -> str:
        """One of the passes; for who never had one, the pass of a stranger."""
        if not self.passes:
            return "stranger000001.1"
        return self.passes[-1 if which == NEWEST else which % len(self.passes)]


class Trial:
    """A sale on both sides. `client` gives text; the collector's source must be the one of this module."""

    def __init__(self, client: Redis, room: Room, eyes: Collector) -> None:
        self.client, self.room, self.eyes = client, room, eyes
        self.sale_id = f"trial{next(_SALES):06}"
        self.keys = SaleKeys(self.sale_id)
        self.now_ms = START_MS
        settings = reference.Settings(
            "running", START_MS - 20_000, START_MS + 500, START_MS + 3 * 3_600_000,
            calls_per_minute=60, capacity=3, turn_window_ms=3_000, comeback_ms=4_000, pass_ms=5_000, hold_ms=3_000,
            allotted=5, held=0, sold=0,
        )  # fmt: skip
        self.model = reference.Room(settings, UNSEEN_MS, CEILING_MS, SLOT_GRACE_MS)
        self.books = Books(client, self.keys, settings)
        self.buyers: dict[int, Buyer] = {}
        self.lanes = Lanes(client, max_age_s=10**9, max_length=10**6, slot_grace_s=SLOT_GRACE_MS / 1000)
        self.names = itertools.count()
        self.beat: Beat | None = None
        self.saved: tuple[reference.Room, dict[str, bytes]] | None = None
        self.laws = laws.Laws()
        self.stored: dict[str, Any] = {}

    async def run(self, trace: Sequence[Step]) -> None:
        """Raises Disagreement with the step at which both part."""
        await self._set_clock(0)
        for at, step in enumerate(trace):
            try:
                await self._step(step)
            except Disagreement as found:
                raise Disagreement(f"step {at}, {step!r}: {found}") from found

    async def _step(self, step: Step) -> None:
        match step:
            case steps.PassTime(seconds, rate):
                for _ in range(seconds):
                    await self._do(steps.Tick(1_000, rate))
                    await self._set_clock(1_000)
            case _:
                await self._do(step)

    async def _do(self, step: Step) -> None:
        before = self.stored
        expected, got = await self._both(step)
        if expected != got:
            raise Disagreement(f"the reference answers\n  {expected}\nthe scripts answer\n  {got}\n{_difference(expected, got)}")
        self.stored = msgspec.json.decode(await self.eyes.run("snapshot", self._all_keys(), ()))
        _compare(self._expected_store(), _told(self.stored))
        for broken in self.laws.broken(step, before, self.stored, self.model, got):
            raise Disagreement(f"a law does not hold: {broken}")

    # ------------------------------------------------------------ the steps

    async def _both(self, step: Step) -> tuple[Answer | None, Answer | None]:
        """The step on both sides; what each of them answers."""
        match step:
            case steps.Join(buyer, shown) | steps.Look(buyer, shown) | steps.Leave(buyer, shown):
                return await self._with_ticket(step, self._buyer(buyer), shown)
            case steps.Extend(buyer):
                who = self._buyer(buyer)
                expected = self.model.extend(who.ticket_id, self.now_ms)
                return expected, await _place(self.room.extend(self.sale_id, who.ticket_id))
            case steps.Claim(buyer):
                return await self._claim(self._buyer(buyer), f"account{buyer}")
            case steps.Order(buyer, nth, decided) if self._buyer(buyer).passes:
                return await self._order(self._buyer(buyer), nth, decided)
            case steps.Outcome(buyer, word, nth):
                await self._outcome(self._buyer(buyer), word, nth)
            case steps.Tick():
                allowance = Allowance(step.rate, step.stock, step.backlog, 0.0)
                self.beat = Beat(f"beat{next(self.names)}", step.dt_ms, LEASE_MS, allowance)
                return await self._tick(self.beat, step.by_leader)
            case steps.SameTick() if self.beat is not None:
                return await self._tick(self.beat, True)
            case steps.NextBlock(size):
                first, last = await self.books.next_block(self.sale_id, size)
                expected = self.model.give_block(first, last)
                return expected, await self.room.give_block(self.sale_id, LEADER, first, last)
            case steps.Control() | steps.Pace() | steps.Stock():
                await self._operate(step)
            case steps.ClockStep(by_ms):
                await self._set_clock(by_ms)
            case steps.CopyLog():
                await self._copy_log()
            case _:
                await self._fault(step)
        return None, None

    async def _with_ticket(
        self, step: steps.Join | steps.Look | steps.Leave, buyer: Buyer, which: int
    ) -> tuple[Answer, Answer]:
        shown = buyer.shown(which)
        ticket = Ticket(self.sale_id, buyer.ticket_id, *shown) if shown else None
        match step:
            case steps.Join():
                expected = self.model.join(buyer.ticket_id, shown, self.now_ms)
                got = await _place(self.room.join(self.sale_id, buyer.ticket_id, ticket))
            case steps.Look():
                expected = self.model.look(buyer.ticket_id, shown, self.now_ms)
                got = await _place(self.room.look(self.sale_id, buyer.ticket_id, ticket))
            case steps.Leave():
                expected = self.model.leave(buyer.ticket_id, shown, self.now_ms)
                got = await _answer(self.room.leave(self.sale_id, buyer.ticket_id, ticket))
                got = {"left": True} if got is None else got
        if isinstance(got, dict) and "number" in got and (held := (got["number"], got["store_id"])) not in buyer.tickets:
            buyer.tickets.append(held)
        return expected, got

    async def _claim(self, buyer: Buyer, account_id: str) -> tuple[Answer, Answer]:
        expected = self.model.claim(buyer.ticket_id, account_id, "k1", self.now_ms)
        got = await _answer(self.room.claim(self.sale_id, buyer.ticket_id, account_id, kid="k1"))
        if isinstance(got, Claim):
            got = {name: getattr(got, name) for name in Claim.__slots__}
            if got["jti"] not in buyer.passes:
                buyer.passes.append(got["jti"])
        return expected, got

    async def _order(self, buyer: Buyer, nth: int, decided: bool) -> tuple[Answer, Answer]:
        jti, order_id = buyer.pass_of(nth), f"order{next(self.names):06}"
        expected = self.model.order(jti, order_id)
        draft = OrderDraft(
            order_id=order_id, sale_id=self.sale_id, account_id="account", pass_jti=jti, pass_exp_ms=0,
            lines=[EntryLine(product_id="p", quantity=1)], address_id=None, fingerprint="f",
        )  # fmt: skip
        try:
            got: Answer = {"accepted": (await self.lanes.accept(draft)).entry.order_id}
        except Refused as refusal:
            got = type(refusal).__name__
        if isinstance(got, dict) and decided:
            self.books.orders[order_id] = OrderRow(order_id, jti, "live")
        return expected, got

    async def _outcome(self, buyer: Buyer, word: str, nth: int) -> None:
        """The database first, then the pass of a rejected order, then the word for the room (workers.drain, workers.publish)."""
        jti = buyer.pass_of(nth)
        order_id = next((row.order_id for row in self.books.orders.values() if row.jti == jti), None)
        order_id = order_id or self.model.passes.get(jti, "")
        if word == "rejected":
            self.books.orders.pop(order_id, None)
            self.model.give_back(jti, order_id)
            if dict(self.stored.get("passes", {})).get(jti) == order_id:
                await self.client.hdel(self.keys.passes, jti)
        elif order_id in self.books.orders:
            known = self.books.orders[order_id]
            state = "paid" if "paid" in (word, known.state) else "ended"
            self.books.orders[order_id] = OrderRow(order_id, jti, state)
        self.model.outcomes.append(f"{jti} {word}")
        await self.client.rpush(self.keys.outcomes, f"{jti} {word}")

    async def _tick(self, beat: Beat, by_leader: bool) -> tuple[Answer, Answer]:
        expected = self.model.tick(beat, self.now_ms, leads=by_leader)
        reply = await self.room.tick(self.sale_id, LEADER if by_leader else "another", beat)
        if isinstance(reply, TickRefusal):
            return expected, reply.value
        assert isinstance(reply, TickReply)
        told = msgspec.structs.asdict(reply)
        return expected, {name: told[name] for name in expected} if isinstance(expected, dict) else told

    async def _operate(self, step: Step) -> None:
        settings = self.books.settings
        match step:
            case steps.Control(word):
                settings = replace(settings, control=word)
            case steps.Pace(rate, capacity):
                settings = replace(settings, calls_per_minute=rate, capacity=capacity)
            case steps.Stock(allotted, held, sold):
                settings = replace(settings, allotted=allotted, held=min(held, allotted - sold), sold=sold)
        self.books.settings = self.model.settings = settings
        self.model.published = True
        await self.books.publish(self.sale_id)

    async def _set_clock(self, by_ms: int) -> None:
        self.now_ms += by_ms
        await self.client.set(f"{self.keys.settings}:wall", self.now_ms)

    async def _copy_log(self) -> None:
        """The leader's clerk: copy, trim, and note until when the copy is whole, which it can only in a confirmed store."""
        rows = await self.room.read_calls(self.sale_id, 1_000)
        if rows:
            await self.books.copy_calls(self.sale_id, rows)
            await self.room.trim_calls(self.sale_id, rows[-1].stream_id)
        self.model.log.clear()
        if self.model.available and self.model.wall_ms:
            await self.books.note_copied(self.sale_id, self.model.wall_ms)

    # ------------------------------------------------------------ faults

    async def _fault(self, step: Step) -> None:
        match step:
            case steps.Lose():
                self.model = self.model.lose()
                await self.client.delete(*await self._stored_keys())
            case steps.Save():
                self.saved = (copy.deepcopy(self.model), await self._dump())
            case steps.FailOver():
                await self._fail_over()
            case steps.Restart():
                self.model.store_id = None
                await self._other_server()
            case steps.Confirm(block) if self.model.store_id is None:
                await self._confirm(block)

    async def _fail_over(self) -> None:
        model, dumped = self.saved or (self.model.lose(), {})
        leads = self.model.leader
        self.model = copy.deepcopy(model)
        self.model.store_id, self.model.leader = None, leads
        await self.client.delete(*[key for key in await self._stored_keys() if key != self.keys.lease])
        for key, value in dumped.items():
            await self.client.restore(key, 0, value)
        await self._other_server()

    async def _other_server(self) -> None:
        """What a server finds that is not the one for which the store was confirmed."""
        if await self.client.hexists(self.keys.room, "run_id"):
            await self.client.hset(self.keys.room, "run_id", "another")

    async def _confirm(self, size: int) -> None:
        assert await self.room.take_lease(self.sale_id, LEADER, LEASE_MS)
        await self._copy_log()
        copied_ms, told = self.books.copied_ms, [one for batch in self.books.ledger().batches(1_000) for one in batch]
        confirmation = Confirmation(self.sale_id, self.room, self.books, token=LEADER, lease_ms=LEASE_MS)
        if not await confirmation.confirm(size):
            raise Disagreement("the store was not confirmed")
        self.model.settings, self.model.published, self.model.leader = self.books.settings, True, True
        line = (await self.room.lines([self.sale_id]))[self.sale_id]
        if not line.store_id:
            raise Disagreement("a confirmed store has no id")
        self.model.confirm(line.store_id, self.books.block, told, copied_ms, self.now_ms)

    async def _stored_keys(self) -> list[str]:
        names = [getattr(self.keys, name) for name, one in vars(SaleKeys).items() if isinstance(one, property)]
        return [*names, *(self.keys.order(f"order{n:06}") for n in range(0))]

    async def _dump(self) -> dict[str, bytes]:
        names = [key for key in await self._stored_keys() if key != self.keys.lease]
        raw = RAW[id(self.client)].pipeline(transaction=False)
        for name in names:
            raw.dump(name)
        return {name: value for name, value in zip(names, await raw.execute(), strict=True) if value is not None}

    # ------------------------------------------------------------ what both know

    def _buyer(self, index: int) -> Buyer:
        return self.buyers.setdefault(index, Buyer(f"buyer{index:09}"))

    def _all_keys(self) -> tuple[str, ...]:
        from waiting_room.room import _keys

        return _keys(self.sale_id)[:17]

    def _expected_store(self) -> dict[str, Any]:
        """What the store must hold by what the reference knows."""
        places = self.model.places

        def standing(name: str) -> dict[str, int]:
            return {ticket: value for ticket, place in places.items() if (value := getattr(place, name)) is not None}

        return {
            "line": {ticket: places[ticket].number for ticket in self.model.line()},
            "turns": standing("turn_ends_ms"),
            "unseen": standing("unseen_ends_ms"),
            "missed": standing("comeback_ends_ms"),
            "shopping": standing("pass_ends_ms"),
            "ordering": self.model.ordering,
            "passes": self.model.passes,
            "served": {ticket: _record(place) for ticket, place in places.items() if place.recorded},
            "outcomes": list(self.model.outcomes),
            "window": [f"{at}:{count}" for at, count in self.model.window],
            "log": [[event, ticket, str(number), str(turn), detail] for event, ticket, number, turn, detail in self.model.log],
        }


RAW: dict[int, Redis] = {}
_SETS = ("line", "turns", "unseen", "missed", "shopping", "ordering")
_RECORD = ("state", "number", "turn", "misses", "extended", "outcome", "ended", "jti", "iat", "exp", "kid", "account_id", "slot_ms")


def _record(place: reference.Place) -> dict[str, Any]:
    return {name: value for name in _RECORD if (value := getattr(place, name)) is not None}


def _told(stored: dict[str, Any]) -> dict[str, Any]:
    """The snapshot with numbers for scores and objects for records. Lua tells an empty object and an empty list alike."""
    told: dict[str, Any] = {name: {ticket: int(at) for ticket, at in dict(stored[name]).items()} for name in _SETS}
    told["passes"] = dict(stored["passes"])
    told["served"] = {ticket: {"extended": False} | msgspec.json.decode(record) for ticket, record in dict(stored["served"]).items()}
    return told | {name: list(stored[name]) for name in ("outcomes", "window", "log")}


def _compare(expected: dict[str, Any], got: dict[str, Any]) -> None:
    if expected != got:
        raise Disagreement(f"the store is not what the reference knows: {_difference(expected, got)}")


def _difference(expected: Any, got: Any) -> str:
    if not (isinstance(expected, dict) and isinstance(got, dict)):
        return f"expected {expected!r}, stored {got!r}"
    names = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
    return "; ".join(f"{name}: expected {expected.get(name)!r}, got {got.get(name)!r}" for name in names)


async def _answer(asked: Any) -> Any:
    try:
        return await asked
    except RoomError as refusal:
        return type(refusal).__name__


async def _place(asked: Any) -> Answer:
    got = await _answer(asked)
    if not isinstance(got, Place):
        return str(got)
    names = (
        "number", "store_id", "ahead", "waiting", "turn_expires_at_ms", "extended", "comeback_until_ms", "outcome", "created", "rejoined",
    )  # fmt: skip
    return {"state": got.state.value, "phase": got.phase.value} | {name: getattr(got, name) for name in names}


# ---------------------------------------------------------------- many trials, and the smallest that fails


@dataclass(frozen=True, slots=True)
class Failure:
    """A trace on which both disagree, made as small as it gets."""

    seed: int
    trace: list[Step]
    found: str

    def __str__(self) -> str:
        told = "\n".join(f"    {step!r}," for step in self.trace)
        return f"seed {self.seed}, {len(self.trace)} steps:\n[\n{told}\n]\n{self.found}"


@dataclass
class Runner:
    """Runs traces side by side on one Redis."""

    client: Redis
    raw: Redis
    beside: int = 48

    def __post_init__(self) -> None:
        RAW[id(self.client)] = self.raw
        self.room = Room(self.client, unseen_ms=UNSEEN_MS, polls=PollLimits(ceiling_ms=CEILING_MS), within_s=20)
        self.eyes = Collector(self.client, within_s=20)

    async def disagreement(self, trace: Sequence[Step]) -> str | None:
        """What both disagree on, or None."""
        try:
            await Trial(self.client, self.room, self.eyes).run(trace)
        except Disagreement as found:
            return str(found)
        return None

    async def first_failure(self, seeds: Iterator[int]) -> Failure | None:
        """Take seeds until they end or one fails; that one made small."""
        found: list[tuple[int, str]] = []

        async def work() -> None:
            for seed in seeds:
                if found:
                    return
                if told := await self.disagreement(steps.trace(seed)):
                    found.append((seed, told))

        await asyncio.gather(*(work() for _ in range(self.beside)))
        return await self._smallest(*min(found)) if found else None

    async def _smallest(self, seed: int, told: str) -> Failure:
        """Take pieces of the trace away, large ones first, as long as what is left still fails."""
        kept, size = steps.trace(seed), 32
        while size:
            at = 0
            while at < len(kept):
                shorter = kept[:at] + kept[at + size :]
                if again := await self.disagreement(shorter):
                    kept, told = shorter, again
                else:
                    at += size
            size //= 2
        return Failure(seed, kept, told)

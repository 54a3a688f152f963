"""One trace on both: the reference in Python and the real scripts on a real Redis, compared after every step.

Every trial is a sale of its own, so that hundreds run side by side on one server and share its round trips. The one thing that is
not as in the product: the scripts read the wall clock of their sale from a key, so that a trace may set it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from redis.asyncio import Redis

from shop.orders.entry import EntryLine
from tests.model import drawing, guests, laws, reference, steps
from tests.model.books import Books
from tests.model.places import Place as KnownPlace
from tests.model.reference import Answer
from tests.model.steps import NEWEST, NONE, Step
from waiting_room.books import DrawBook
from waiting_room.collector import Collector
from waiting_room.confirmation import Confirmation
from waiting_room.draw import lot
from waiting_room.drawing import Drawing
from waiting_room.keys import SaleKeys
from waiting_room.pace import Allowance
from waiting_room.place import Place
from waiting_room.recovery import OrderRow
from waiting_room.refusals import RoomError
from waiting_room.replies import Claim
from waiting_room.room import Room
from waiting_room.ticket import Ticket
from waiting_room.ticking import Beat, TickRefusal, TickReply
from workers.lanes import Lanes, OrderDraft
from workers.refusals import Refused

START_MS = 1_700_000_000_000
UNSEEN_MS = 2_000
CEILING_MS = 5_000
SLOT_GRACE_MS = 2_000
LEASE_MS = 600_000
LEADER = "the-leader"
_SALES = itertools.count()


class Disagreement(AssertionError):
    """The reference and the scripts do not agree, or a law does not hold."""


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
    """A sale on both sides. `client` gives text, `raw` bytes; the room's source must be the one of scripts.py."""

    def __init__(self, client: Redis, raw: Redis, room: Room, eyes: Collector) -> None:
        self.client, self.raw, self.room, self.eyes = client, raw, room, eyes
        self.sale_id = f"trial{next(_SALES):06}"
        self.keys = SaleKeys(self.sale_id)
        self.now_ms = START_MS
        settings = reference.Settings(
            "running", START_MS - 20_000, START_MS + 500, START_MS + 3 * 3_600_000,
            calls_per_minute=60, capacity=3, turn_window_ms=3_000, comeback_ms=4_000, pass_ms=5_000, hold_ms=3_000,
            allotted=5, held=0, sold=0,
        )  # fmt: skip
        self.model = reference.Room(settings, UNSEEN_MS, CEILING_MS, SLOT_GRACE_MS)
        self.listed: drawing.Listed | None = None
        self.told: TickReply | None = None
        self.books = Books(client, self.keys, settings)
        self.clerk = Drawing(self.sale_id, room, self.books, token=LEADER)
        self.buyers: dict[int, Buyer] = {}
        self.lanes = Lanes(client, max_age_s=10**9, max_length=10**6, slot_grace_s=SLOT_GRACE_MS / 1000)
        self.names = itertools.count()
        self.beat: Beat | None = None
        self.saved: tuple[reference.Room, dict[str, bytes]] | None = None
        self.laws = laws.Laws()
        self.stored: dict[str, Any] = {}

    async def run(self, trace: Sequence[Step]) -> None:
        """Raises Disagreement with the step at which both part."""
        await self._look_at_the_store()
        for at, step in enumerate(trace):
            try:
                await self._step(step)
            except Disagreement as found:
                raise Disagreement(f"step {at}, {step!r}: {found}") from found

    async def _step(self, step: Step) -> None:
        if not isinstance(step, steps.PassTime):
            await self._do(step)
            return
        for second in range(step.seconds):
            await self._do(steps.Tick(1_000, step.rate), last=second == step.seconds - 1)
        self.now_ms += 1_000 * step.seconds
        await self._look_at_the_store()

    async def _do(self, step: Step, *, last: bool = True) -> None:
        """One step on both sides; their answers are compared, and the whole store, unless many ticks without calls follow each other."""
        expected, got = await self._both(step)
        if expected != got:
            raise Disagreement(f"the answers differ: {_difference(expected, got)}")
        if not last and isinstance(got, dict) and got["calls"] == 0:
            return
        before = self.stored
        self.now_ms += min(1_000, max(0, step.dt_ms)) if isinstance(step, steps.Tick) else 0
        await self._look_at_the_store()
        for broken in self.laws.broken(step, before, self.stored, self.model, got):
            raise Disagreement(f"a law does not hold: {broken}")

    async def _look_at_the_store(self) -> None:
        reply = msgspec.json.decode(await self.eyes.run("snapshot", (self.keys.settings,), (self.now_ms,)))
        self.stored = _told(reply)
        expected = self._expected_store()
        if expected != self.stored:
            raise Disagreement(
                f"the store is not what the reference knows: {_difference(expected, self.stored)}"
            )
        secret = self.model.draw not in ("", "drawn")
        for buyer in self.buyers.values():
            held = [mark for mark, store_id in buyer.tickets if store_id == self.model.store_id]
            if (mark := laws.told_to_wait(buyer.ticket_id, held, reply, secret=secret)) is not None:
                raise Disagreement(f"{buyer.ticket_id} polls with {mark} and is told to wait, and does not")

    # ------------------------------------------------------------ the steps

    async def _both(self, step: Step) -> tuple[Answer | None, Answer | None]:
        """The step on both sides; what each of them answers."""
        match step:
            case steps.Join(buyer, shown) | steps.Look(buyer, shown) | steps.Leave(buyer, shown):
                return await self._with_ticket(step, self._buyer(buyer), shown)
            case steps.Adopt(guest, account, which) if guest != account:
                return await self._adopt(self._buyer(guest), self._buyer(account), which)
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
                self.beat = Beat(f"beat{next(self.names)}", step.dt_ms, LEASE_MS, allowance, step.hold)
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
                self.now_ms += by_ms
            case steps.CopyLog():
                await self._copy_log()
            case steps.ByLot(seed) if not self.model.published:
                self._draw_lots(bytes([seed]) * 32)
            case steps.Draw(times):
                return await self._draw(times)
            case _:
                await self._fault(step)
        return None, None

    async def _with_ticket(
        self, step: steps.Join | steps.Look | steps.Leave, buyer: Buyer, which: int
    ) -> tuple[Answer, Answer]:
        shown = buyer.shown(which)
        ticket = Ticket(self.sale_id, buyer.ticket_id, *shown) if shown else None
        place = "" if self.listed is None else lot(self.listed.seed, buyer.ticket_id)
        match step:
            case steps.Join():
                expected = self.model.join(buyer.ticket_id, shown, self.now_ms)
                got = await _place(self.room.join(self.sale_id, buyer.ticket_id, ticket, lot=place))
            case steps.Look():
                expected = self.model.look(buyer.ticket_id, shown, self.now_ms)
                got = await _place(self.room.look(self.sale_id, buyer.ticket_id, ticket, lot=place))
            case steps.Leave():
                expected = self.model.leave(buyer.ticket_id, shown, self.now_ms)
                got = await _answer(self.room.leave(self.sale_id, buyer.ticket_id, ticket, lot=place))
                got = {"left": True} if got is None else got
        if (
            isinstance(got, dict)
            and "mark" in got
            and (held := (got["mark"], got["store_id"])) not in buyer.tickets
        ):
            buyer.tickets.append(held)
        return expected, got

    async def _adopt(self, guest: Buyer, buyer: Buyer, which: int) -> tuple[Answer, Answer]:
        shown = guest.shown(which)
        ticket = Ticket(self.sale_id, guest.ticket_id, *shown) if shown else None
        expected = guests.adopt(self.model, guest.ticket_id, buyer.ticket_id, shown)
        got = await _answer(self.room.adopt(self.sale_id, guest.ticket_id, buyer.ticket_id, ticket))
        return expected, {"adopted": got} if isinstance(got, bool) else got

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
            if self.stored["passes"].get(jti) == order_id:
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
        self.told = reply
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

    async def _copy_log(self) -> None:
        """The leader's clerk: copy, trim, and note until when the copy is whole, which it can only in a confirmed store."""
        rows = await self.room.read_calls(self.sale_id, 1_000)
        if rows:
            await self.books.copy_calls(self.sale_id, rows)
            await self.room.trim_calls(self.sale_id, rows[-1].stream_id)
        self.model.log.clear()
        if self.model.available and self.model.wall_ms:
            await self.books.note_copied(self.sale_id, self.model.wall_ms)

    def _draw_lots(self, seed: bytes) -> None:
        """The sale is a draw: its lobby is open for a while, its seed is known to the books."""
        later = self.books.settings.opens_at_ms + 2_000
        self.books.settings = self.model.settings = replace(
            self.books.settings, mode="draw", opens_at_ms=later
        )
        self.books.drawn, self.listed = DrawBook(seed), drawing.Listed(seed)

    async def _draw(self, times: int) -> tuple[Answer | None, Answer | None]:
        if self.told is None or self.listed is None:
            return None, None
        for _ in range(times):
            drawing.go_on(self.model, self.listed, msgspec.structs.asdict(self.told))
            await self.clerk.go_on(self.told)
        kept, listed = self.books.drawn, self.listed
        assert kept is not None
        size = len(listed.tickets) if listed.public else None
        return (
            {"opened_ms": listed.opened_ms, "size": size, "tickets": listed.tickets},
            {"opened_ms": kept.opened_ms, "size": kept.size, "tickets": "".join(self.books.pages).split()},
        )

    # ------------------------------------------------------------ faults

    async def _fault(self, step: Step) -> None:
        match step:
            case steps.Lose():
                self.model = self.model.lose()
                await self.client.delete(*self._stored_keys())
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
        await self.client.delete(*[key for key in self._stored_keys() if key != self.keys.lease])
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
        copied_ms, told = (
            self.books.copied_ms,
            [one for batch in self.books.ledger().batches(1_000) for one in batch],
        )
        confirmation = Confirmation(self.sale_id, self.room, self.books, token=LEADER, lease_ms=LEASE_MS)
        if not await confirmation.confirm(size):
            raise Disagreement("the store was not confirmed")
        self.model.settings, self.model.published, self.model.leader = self.books.settings, True, True
        line = (await self.room.lines([self.sale_id]))[self.sale_id]
        if not line.store_id:
            raise Disagreement("a confirmed store has no id")
        self.model.confirm(line.store_id, self.books.block, told, copied_ms, self.now_ms, self.listed)

    def _stored_keys(self) -> list[str]:
        return [getattr(self.keys, name) for name, one in vars(SaleKeys).items() if isinstance(one, property)]

    async def _dump(self) -> dict[str, bytes]:
        names = [key for key in self._stored_keys() if key != self.keys.lease]
        raw = self.raw.pipeline(transaction=False)
        for name in names:
            raw.dump(name)
        return {
            name: value for name, value in zip(names, await raw.execute(), strict=True) if value is not None
        }

    # ------------------------------------------------------------ what both know

    def _buyer(self, index: int) -> Buyer:
        return self.buyers.setdefault(index, Buyer(f"buyer{index:09}"))

    def _expected_store(self) -> dict[str, Any]:
        """What the store must hold by what the reference knows."""
        places = self.model.places

        def standing(name: str) -> dict[str, float]:
            return {
                ticket: value
                for ticket, place in places.items()
                if (value := getattr(place, name)) is not None
            }

        return {
            "line": standing("stands"),
            "turns": standing("turn_ends_ms"),
            "unseen": standing("unseen_ends_ms"),
            "missed": standing("comeback_ends_ms"),
            "shopping": standing("pass_ends_ms"),
            "ordering": self.model.ordering,
            "passes": self.model.passes,
            "served": {ticket: _record(place) for ticket, place in places.items() if place.recorded},
            "outcomes": list(self.model.outcomes),
            "window": [f"{at}:{calls}:{freed}" for at, calls, freed in self.model.window],
            "log": [
                [event, ticket, str(number), str(turn), detail]
                for event, ticket, number, turn, detail in self.model.log
            ],
            "counts": dict(self.model.counts),
            "draw": (self.model.draw, self.model.opened_ms, self.model.lobby_size),
        }


_SETS = ("line", "turns", "unseen", "missed", "shopping", "ordering")
_RECORD = (
    "state",
    "number",
    "turn",
    "misses",
    "extended",
    "outcome",
    "ended",
    "jti",
    "iat",
    "exp",
    "kid",
    "account_id",
    "slot_ms",
)


def _record(place: KnownPlace) -> dict[str, Any]:
    return {name: value for name in _RECORD if (value := getattr(place, name)) is not None}


def _told(stored: dict[str, Any]) -> dict[str, Any]:
    """The snapshot with numbers for scores and objects for records. Lua tells an empty object and an empty list alike."""
    told: dict[str, Any] = {
        name: {ticket: float(at) for ticket, at in dict(stored[name]).items()} for name in _SETS
    }
    told["passes"] = dict(stored["passes"])
    told["served"] = {
        ticket: {"extended": False} | msgspec.json.decode(record)
        for ticket, record in dict(stored["served"]).items()
    }
    told["counts"] = {event: int(count) for event, count in stored["counts"].items() if count != "0"}
    told["draw"] = (stored["draw"], int(stored["opened_ms"] or 0), int(stored["lobby_size"] or 0))
    return told | {name: list(stored[name]) for name in ("outcomes", "window", "log")}


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
        "number", "mark", "store_id", "ahead", "waiting", "turn_expires_at_ms", "extended", "comeback_until_ms", "outcome", "created", "rejoined",
    )  # fmt: skip
    return {"state": got.state.value, "phase": got.phase.value} | {name: getattr(got, name) for name in names}

"""The workers' side of the lanes: read from the head, tell what was decided, take it off. Decides nothing. Knows Redis, no SQL and no RQ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import redis

from shop.orders.entry import OrderEntry, decode_entry, encode_entry, first_entry
from waiting_room.keys import SaleKeys
from workers import scripts
from workers.lanes import BELL_MS

RESULT_S = 3600
MOST_WAITING = 5000  # of one lane that are looked at in one go
LATE_MARK_MS = 60_000


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order, as published after the commit. A hint: the truth stands in the database."""

    order_id: str
    state: str
    seq: int | None = None
    reason: str | None = None


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
        return first_entry(pipeline.execute() if sale_ids else [])

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

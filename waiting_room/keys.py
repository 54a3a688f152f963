"""Every Redis key of the product: its name, type and meaning.

All keys of one sale share the hash tag `{sale_id}` (the immutable id, never the slug), so that a sale lives in one slot of a
Redis Cluster and every script touches one slot only.

| key           | type   | meaning                                                                                          |
|---------------|--------|--------------------------------------------------------------------------------------------------|
| settings      | hash   | copy of the sale's settings and control word, versioned (owner: `workers.publish`)               |
| stock         | hash   | copy of the sale's stock: allotted/held/sold of all items and of each, versioned (`workers.publish`) |
| room          | hash   | the room's own state: store_id, run_id, clocks, number block, now_serving, window sum, last tick |
| line          | zset   | ticket id -> place; all tickets not yet called                                                   |
| served        | hash   | ticket id -> JSON record of every ticket that was called, missed, left or ended                  |
| turns         | zset   | called ticket id -> deadline of its turn (sale clock, ms)                                        |
| unseen        | zset   | called ticket id that no poll has seen -> deadline (sale clock, ms)                              |
| missed        | zset   | missed ticket id -> end of its come-back time (come-back clock, ms)                              |
| shopping      | zset   | admitted ticket id without a live order -> end of its pass (sale clock, ms)                      |
| ordering      | zset   | admitted ticket id with a live order -> backstop (sale clock, ms)                                |
| window        | list   | `sale clock ms:calls:freed slots` of each tick that had some, last 60 s                          |
| lease         | string | random token of the leading controller                                                          |
| standby       | zset   | token of a controller that stands by -> when it last asked for the lead (unix ms)               |
| outcomes      | list   | `jti outcome` appended by whoever ended or rejected an order, read by the next tick               |
| joins:<min>   | hash   | network tag -> new places given to it in this unix minute (2 min)                                |
| spent:<proof> | string | a solved challenge or a pause that has let somebody in; lives as long as the proof               |
| paused:<tag>  | string | somebody of this network has just come in by a pause (20 s)                                       |
| calls         | stream | the call log, copied to the database within a second                                             |
| digest        | string | what answers the polls of those who wait, as one value, rewritten by the leader a few times a second |
| gone          | list   | numbers above all called ones whose holders left the line or took another place, as they did so    |
| lane          | list   | accepted orders as JSON, in the order of acceptance                                              |
| lane:open     | string | the run of the server for which the lane was opened; in another run it accepts nothing           |
| lane:recovery | hash   | run_id and until_ms (unix): receipts of orders that were lost are collected until then           |
| lane:returned | zset   | orders as JSON that came back by their receipts -> accepted_no; enter the lane when it opens     |
| lane:accepted | string | counter behind `accepted_no`                                                                     |
| lane:bell     | string | a doorbell is under way (NX, 1 s)                                                                |
| lane:late:<id> | string | late money of this payment was put into the lane (60 s)                                          |
| passes        | hash   | jti -> order id of the live order that uses the pass                                             |
| order:<id>    | string | what was accepted, as JSON; the record behind Idempotency-Key (24 h)                             |
| result:<id>   | string | the decision on an order, as JSON (1 h)                                                          |
| fc:{provider:<name>}:calls | hash | calls to a payment provider in the last minute: `slot's beginning (unix ms):answered or failed` -> count; of no sale |
| code:<mark>   | string | the pass behind a one-time code for another host's gate, as JSON (60 s; `codes.py`)              |

**served** holds JSON records. `state` is one of waiting (came back, or joined again after an earlier turn), called, missed, admitted,
done, left, lapsed; beside it `number`, `turn` (0 before the first call, never counted down), `misses`, `extended`; from the claim on
`jti` (= ticket id "." turn), `iat`, `exp` (unix s), `kid`, `account_id`, `slot_ms` (end of the pass on the sale clock); when done
`outcome` (paid | ended); `ended`: up to this number no ticket of an earlier store is good for its buyer any more. A ticket that
waits for its first turn and never left has no record: the line alone knows it.

**room** fields: `store_id`, `run_id` (the server run the store was confirmed for), `clock_ms` (sale clock), `comeback_ms` (come-back
clock), `wall_ms` (latest wall time that a tick has seen) and `rested_ms` (that time when the lead was last given up), `next_number`
and `last_number` (the block being counted), `spare_first` and `spare_last` (the block after it), `now_serving` (highest number
called), `window_sum` and `freed_sum` (calls and freed slots in the last 60 s), `slots` (taken after the last tick),
`turns_ended`, `no_shows`, `count_<event>` (entries of the call log; `count_left`: all
who left, from the line too), `gate` and `gate_since_ms`, `rate_lowered_ms`,
`capacity_lowered_ms`, `tick_id` and `tick_reply`. After a loss: `lost_ms` (when it was confirmed) and `settled_ms` (from when places
are shown), unix ms; `turns_before` (turns up to this one may have been given); `unknown_slots` count as taken until
`unknown_until_ms`, nobody is called until `quiet_until_ms` (sale clock). Of a draw: `draw` (its stage, scripts/_shared.lua),
`opened_ms` (when its lobby closed, unix ms), `lobby_size` (length of its list). Only this package writes it.

**Who else writes the room's keys.** `workers/scripts/accept.lua` and `restore.lua`: an accepted order moves its ticket from `shopping` to `ordering`
with backstop `clock_ms + hold_ms + grace`, which `workers.slots` puts off while the order lives; a ticket in neither set has given
its slot back. `outcomes`: whoever ended an order.
`passes`: a ticket that leaves or lets its pass expire is marked there by the room (`left`, `expired`), so that its pass buys nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

PREFIX = "fc"


def calls_to_provider(name: str) -> str:
    """The key that counts the calls to a payment provider."""
    return f"{PREFIX}:{{provider:{name}}}:calls"


@dataclass(frozen=True, slots=True)
class SaleKeys:
    """The key names of one sale."""

    sale_id: str

    def _key(self, name: str) -> str:
        return f"{PREFIX}:{{{self.sale_id}}}:{name}"

    @property
    def settings(self) -> str:
        return self._key("settings")

    @property
    def stock(self) -> str:
        return self._key("stock")

    @property
    def room(self) -> str:
        return self._key("room")

    @property
    def line(self) -> str:
        return self._key("line")

    @property
    def served(self) -> str:
        return self._key("served")

    @property
    def turns(self) -> str:
        return self._key("turns")

    @property
    def unseen(self) -> str:
        return self._key("unseen")

    @property
    def missed(self) -> str:
        return self._key("missed")

    @property
    def shopping(self) -> str:
        return self._key("shopping")

    @property
    def ordering(self) -> str:
        return self._key("ordering")

    @property
    def window(self) -> str:
        return self._key("window")

    @property
    def lease(self) -> str:
        return self._key("lease")

    @property
    def standby(self) -> str:
        return self._key("standby")

    @property
    def outcomes(self) -> str:
        return self._key("outcomes")

    @property
    def calls(self) -> str:
        return self._key("calls")

    @property
    def digest(self) -> str:
        return self._key("digest")

    @property
    def gone(self) -> str:
        return self._key("gone")

    @property
    def lane(self) -> str:
        return self._key("lane")

    @property
    def lane_open(self) -> str:
        return self._key("lane:open")

    @property
    def lane_recovery(self) -> str:
        return self._key("lane:recovery")

    @property
    def lane_returned(self) -> str:
        return self._key("lane:returned")

    @property
    def lane_accepted(self) -> str:
        return self._key("lane:accepted")

    @property
    def lane_bell(self) -> str:
        return self._key("lane:bell")

    def late(self, payment_id: str) -> str:
        return self._key(f"lane:late:{payment_id}")

    @property
    def passes(self) -> str:
        return self._key("passes")

    def joins(self, minute: int) -> str:
        return self._key(f"joins:{minute}")

    def spent(self, proof_id: str) -> str:
        return self._key(f"spent:{proof_id}")

    def paused(self, network: str) -> str:
        return self._key(f"paused:{network}")

    def order(self, order_id: str) -> str:
        return self._key(f"order:{order_id}")

    def result(self, order_id: str) -> str:
        return self._key(f"result:{order_id}")

    def code(self, mark: str) -> str:
        return self._key(f"code:{mark}")


@lru_cache(maxsize=256)
def keys_in_order(sale_id: str) -> tuple[str, ...]:
    """The keys of a sale's room in the order of scripts/_shared.lua."""
    keys = SaleKeys(sale_id)
    return (
        keys.settings, keys.stock, keys.room, keys.line, keys.served, keys.turns, keys.unseen, keys.missed, keys.shopping,
        keys.ordering, keys.passes, keys.calls, keys.window, keys.lease, keys.outcomes, keys.lane, keys.digest,
        keys.gone,
    )  # fmt: skip

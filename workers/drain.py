"""One visit to one lane: decide batch after batch for a slice of time, tell what was decided, take it off the lane.

The deciding happens in `shop.orders.decide`, one transaction a batch. Everything here comes after a commit and may be lost: the
next drain finds those entries decided, tells it again and takes them off. Knows neither the rules nor RQ.
"""

from __future__ import annotations

import time

import structlog
from redis.exceptions import RedisError

from shop.errors import LaneTaken, Unavailable
from shop.orders.decide import BatchResult, drain_once
from shop.stock.publication import read_stock
from workers.lane_reader import Decision
from workers.publish import announce_outcomes, publish_stock
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

LANE_TAKEN_S = 0.1
# While nobody comes to this lane, how often to look whether a doorbell of another one waits.
GLANCE_S = 0.05


def drain(runtime: Runtime, sale_id: str, *, careful: bool = False) -> None:
    """Decide what waits in the lane, for at most a slice; ring again if something is left.

    `careful` begins with one order alone, for a visit whose predecessor died at it. Somebody else at the lane, or a database or
    Redis that is away, ends the visit: whoever is at the lane looks again, and the sweeper rings where entries wait.
    """
    try:
        if _visit(runtime, sale_id, careful) and runtime.lanes.take_bell(sale_id):
            runtime.doorbell.ring(sale_id)
    except LaneTaken:
        return
    except Unavailable as away:
        log.warning("lane_waits", sale_id=sale_id, what=away.what)
    except RedisError as error:
        log.warning("lane_waits", sale_id=sale_id, what=str(error))


def _visit(runtime: Runtime, sale_id: str, careful: bool) -> bool:
    """A slice of draining. A careful visit waits for the lane: the server may take a while to see that the predecessor died."""
    patience = time.monotonic() + runtime.slice_s
    while True:
        try:
            return _drain_slice(runtime, sale_id, careful)
        except LaneTaken:
            if not careful or time.monotonic() >= patience:
                raise
        time.sleep(LANE_TAKEN_S)  # the lock tells nobody when it is free


def _drain_slice(runtime: Runtime, sale_id: str, careful: bool) -> bool:
    """Whether entries are left. The last look at the lane comes after the lock is free again, so that nobody is left unseen."""
    until = time.monotonic() + runtime.slice_s
    while True:
        result = drain_once(
            runtime.db,
            sale_id,
            lambda count: runtime.lanes.head(sale_id, count),
            batch_max=runtime.batch_max,
            batch_ms=runtime.batch_ms,
            vault=runtime.vault,
            careful=careful,
        )
        careful = False
        _tell(runtime, sale_id, result)
        if time.monotonic() >= until or not _more(runtime, sale_id, until):
            return runtime.lanes.leave(sale_id) > 0


def _more(runtime: Runtime, sale_id: str, until: float) -> bool:
    """Whether somebody waits in the lane, or comes in a moment: a new visit would begin with a fork and a connection.

    Nobody is waited for while another lane's doorbell waits for a worker.
    """
    until = min(until, time.monotonic() + runtime.linger_s)
    while not runtime.lanes.length(sale_id):
        left_s = until - time.monotonic()
        if left_s <= 0 or runtime.doorbell.others_wait():
            return False
        if runtime.lanes.await_entry(sale_id, min(left_s, GLANCE_S)):
            return True
    return True


def _tell(runtime: Runtime, sale_id: str, result: BatchResult) -> None:
    """Publish what was decided, then take it off the lane; in this order, so that a death in between repeats it.

    The stock is read after the commit: inside it, units that others move at the same time would be missing under the same version.
    """
    known = [*result.passed_over, *result.decisions]
    if not known:
        return
    publish_stock(runtime.redis, runtime.db.read(read_stock, sale_id))
    runtime.lanes.publish_results(
        sale_id,
        [Decision(order_id=one.order_id, state=one.state, seq=one.seq, reason=one.reason) for one in known],
    )
    runtime.lanes.give_back(sale_id, [(one.jti, one.order_id) for one in known if one.pass_is_free])
    announce_outcomes(runtime.redis, [ended for one in known if (ended := one.ended(sale_id))])
    runtime.lanes.pop_decided(sale_id, result.lane_ids)

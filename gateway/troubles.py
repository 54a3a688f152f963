"""What operators look after: things that are stuck, and books that may not add up. Decides nothing; knows no HTTP. Blocks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from gateway.bodies.cases import MismatchBody, ReconciliationBody, StuckBody, StuckList
from gateway.refusals import Overloaded
from gateway.sessions import Principal
from shop.orders import stuck
from shop.sales.reading import live_sale_ids, slugs_of
from shop.stock.reconcile import reconcile
from workers.failures import failed_jobs

if TYPE_CHECKING:
    from gateway.services import Services

# Decisions are a matter of a second; an entry this old means that nobody decides.
LANE_WAITS = timedelta(seconds=15)

# It reads every order: one at a time in a process is enough.
_reconciling = threading.Lock()


def list_stuck(services: Services) -> StuckList:
    """Everything that does not go on by itself, from the books, the lanes and the queues. Raises Unavailable."""
    found = [
        StuckBody(
            kind=one.kind,
            at=one.at,
            ref=one.ref,
            note=one.note,
            order_id=one.order_id,
            attempts=one.attempts,
        )
        for one in stuck.read_stuck(services.db)
    ]
    jobs = [
        StuckBody(kind="job", at=job.at.astimezone(UTC), ref=job.job_id, note=job.queue)
        for job in failed_jobs(services.rq_redis) or ()
    ]
    return StuckList(items=[*found, *_waiting_lanes(services), *jobs], next_cursor=None)


def retry(services: Services, principal: Principal, outbox_id: int) -> None:
    """Have a given-up effect tried afresh. Raises NotStuck."""
    stuck.retry_effect(services.db, principal.subject_id, outbox_id)
    services.ring_outbox()


def reconciliation(services: Services) -> ReconciliationBody:
    """The books compared as they are now; nothing is changed. Raises Overloaded while somebody else has it done."""
    if not _reconciling.acquire(blocking=False):
        raise Overloaded("the books are being compared already", retry_after_s=5)
    try:
        differences = reconcile(services.db)
    finally:
        _reconciling.release()
    items = [
        MismatchBody(
            table=one.table,
            row=one.row,
            field=one.field,
            found=one.found,
            expected=one.expected,
            by=one.by,
            sentence=str(one),
        )
        for one in differences
    ]
    return ReconciliationBody(adds_up=not items, as_of=datetime.now(UTC), items=items)


def _waiting_lanes(services: Services) -> list[StuckBody]:
    """Lanes of live sales whose first entry waits too long; none while Redis does not answer, which other pages say."""
    ids = live_sale_ids(services.db)
    slugs = slugs_of(services.db, ids)
    now = datetime.now(UTC)
    try:
        heads = {sale_id: services.lane_reader.head(sale_id, 1) for sale_id in ids}
        lengths = services.lane_reader.lengths(ids)
    except RedisError:
        return []
    return [
        StuckBody(kind="lane", at=at, ref=slugs.get(sale_id, sale_id), note=str(lengths[sale_id]))
        for sale_id, head in heads.items()
        if head and now - (at := datetime.fromtimestamp(head[0].accepted_at_ms / 1000, UTC)) > LANE_WAITS
    ]

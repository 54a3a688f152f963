"""The sweeper: every few seconds it looks for what was missed and does it again.

Its duties need nobody's order: copies are versioned, bells and announcements may repeat, every hold ends in a transaction of its
own. So any number of sweepers may run side by side, and each duty goes on when another one fails. What asks payment providers
runs on threads of its own, since a silent provider must not keep the doorbells waiting. Knows when, not how.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from redis.exceptions import RedisError

from shop.errors import Unavailable
from shop.mail.effects import due_kinds
from shop.orders.expire import ask_again, expire_due
from shop.orders.late import late_entries, refuse_without_lane
from shop.orders.rules import Ended
from shop.payments.apply import Settled
from shop.payments.settle import give_back_suspended, retry_unknown
from shop.sales.acting import return_unsold
from shop.sales.publication import read_publication
from shop.sales.reading import live_sale_ids
from shop.stock.publication import read_stock
from workers.provider_health import probe
from workers.publish import announce_outcomes, publish_sale, publish_stock
from workers.runtime import Runtime
from workers.slots import announce_forgotten, keep_live

log = structlog.get_logger(__name__)

BUSY_S = 1.0  # between rounds while orders wait in some lane
STOP_WITHIN_S = 8.0

# A duty says whether the next round is wanted soon.
Duty = Callable[[Runtime], bool]


def run_sweeper(runtime: Runtime) -> None:
    """Sweep until SIGTERM or SIGINT. Must be called in the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    sweep(runtime, stop)


def sweep(runtime: Runtime, stop: threading.Event) -> None:
    """Sweep until `stop` is set."""
    log.info("sweeper_started")
    threads = [
        threading.Thread(target=_rounds, args=(runtime, duties, stop), name=name, daemon=True)
        for name, duties in (("copies", COPIES), ("money", MONEY), ("health", HEALTH))
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    deadline = time.monotonic() + STOP_WITHIN_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def sweep_once(runtime: Runtime, duties: Sequence[Duty]) -> bool:
    """One round; a duty that fails is logged and keeps none of the others from its turn. Whether to come again soon."""
    soon = [_do(runtime, duty) for duty in duties]
    return any(soon)


def publish_sales(runtime: Runtime) -> bool:
    """Lay settings, stock and lane mark of every live sale."""
    for sale_id in live_sale_ids(runtime.db):
        publish_sale(runtime.redis, read_publication(runtime.db, sale_id))
    return False


def take_in_late(runtime: Runtime) -> bool:
    """Put money that came after its hold at the end of its lane; where nobody decides any more it goes back."""
    late = late_entries(runtime.db)
    live = set(live_sale_ids(runtime.db)) if late else set()
    for entry in late:
        if entry.sale_id in live:
            runtime.lanes.append_late(entry)
        else:
            refuse_without_lane(runtime.db, runtime.vault, entry.lane_id)
    return False


def ring_lanes(runtime: Runtime) -> bool:
    """Ring where orders wait and no bell is on its way."""
    waiting = [
        sale_id
        for sale_id, length in runtime.lanes.lengths(live_sale_ids(runtime.db)).items()
        if length and runtime.lanes.take_bell(sale_id)
    ]
    for sale_id in waiting:
        runtime.doorbell.ring(sale_id)
    return bool(waiting)


def ring_outbox(runtime: Runtime) -> bool:
    """Ring for effects that are due."""
    if runtime.db.read(due_kinds) & runtime.effects.keys():
        runtime.doorbell.ring_outbox()
    return False


def free_slots(runtime: Runtime) -> bool:
    """Tell the rooms again of orders that have ended while their slot is still taken; those that live keep it."""
    for sale_id in live_sale_ids(runtime.db):
        keep_live(runtime, sale_id)
        if forgotten := announce_forgotten(runtime, sale_id):
            log.info("slots_announced_again", sale_id=sale_id, count=forgotten)
    return False


def expire_holds(runtime: Runtime) -> bool:
    """End the holds that are over."""
    swept = expire_due(runtime.db, runtime.vault, runtime.providers)
    _announce(runtime, swept.ended, swept.sale_ids)
    return False


def ask_about_unknown(runtime: Runtime) -> bool:
    """Hear what became of payments whose provider was silent when their order ended."""
    swept = ask_again(runtime.db, runtime.vault, runtime.providers)
    _announce(runtime, swept.ended, swept.sale_ids)
    return False


def settle_late(runtime: Runtime) -> bool:
    """Apply callbacks whose payment is known by now, and give back money that nobody has decided on."""
    _announce_settled(runtime, retry_unknown(runtime.db, runtime.vault, runtime.providers))
    _announce_settled(runtime, give_back_suspended(runtime.db, runtime.vault))
    return False


def return_stock(runtime: Runtime) -> bool:
    """Put back on the shelf what ended sales have not sold."""
    _announce(runtime, [], return_unsold(runtime.db))
    return False


def probe_providers(runtime: Runtime) -> bool:
    """Ask providers that did not answer lately whether they do again, while nobody is let in who would."""
    return probe(runtime.redis, runtime.providers)


COPIES: Sequence[Duty] = (publish_sales, take_in_late, ring_lanes, ring_outbox, free_slots)
MONEY: Sequence[Duty] = (expire_holds, ask_about_unknown, settle_late, return_stock)
HEALTH: Sequence[Duty] = (probe_providers,)


def _rounds(runtime: Runtime, duties: Sequence[Duty], stop: threading.Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        pause_s = min(BUSY_S, runtime.sweep_s) if sweep_once(runtime, duties) else runtime.sweep_s
        stop.wait(max(0.0, began + pause_s - time.monotonic()))


def _do(runtime: Runtime, duty: Duty) -> bool:
    try:
        return duty(runtime)
    except (Unavailable, RedisError) as away:
        log.warning("duty_put_off", duty=duty.__name__, error=str(away))
    except Exception:
        log.exception("duty_failed", duty=duty.__name__)
    return False


def _announce_settled(runtime: Runtime, settled: Iterable[Settled]) -> None:
    for each in settled:
        _announce(runtime, each.ended, each.sale_ids)


def _announce(runtime: Runtime, ended: Iterable[Ended], sale_ids: Iterable[str]) -> None:
    announce_outcomes(runtime.redis, ended)
    for sale_id in sorted(set(sale_ids)):
        publish_stock(runtime.redis, runtime.db.read(read_stock, sale_id))

"""SIGSTOP past every lease, then SIGCONT: whoever comes back believes that no time has passed."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from firstcome.wiring import WORKER_WAIT_TIMEOUT_S
from tests.faults.scene import Scene, fault, resume, sighted, stopping
from waiting_room.keys import SaleKeys

# The lead of a line is lost after 1.5 s, a client gives Redis 1 s and a greeting of the database 2 s.
STOPPED_S = 4.0


def _stop(processes: Iterable[psutil.Process], for_s: float = STOPPED_S) -> None:
    """Stop them for so long. The fault is this time itself."""
    stopped = list(stopping(processes))
    try:
        time.sleep(for_s)
    finally:
        resume(stopped)


@fault("worker stopped")
def worker(scene: Scene) -> str:
    """A worker stands still with a doorbell in its hands; the others answer the next one."""
    victim = scene.one_of(lambda: scene.stage.workers, "worker")
    _stop([victim])
    return f"worker {victim.pid}"


@fault("work-horse stopped")
def work_horse(scene: Scene) -> str:
    """A drain stands still with the lane's lock: the database ends its connection, another decides, and what it then does has no effect."""

    def stopped() -> psutil.Process | None:
        return next(stopping([scene.one_of(lambda: scene.stage.work_horses, "work-horse")]), None)

    victim = sighted(stopped, "a work-horse was hit")
    _stop([victim], WORKER_WAIT_TIMEOUT_S + 3)
    return f"work-horse {victim.pid}"


@fault("controller stopped", quick=True)
def controller(scene: Scene) -> str:
    """The leader of a line stands still beyond its lease: another leads, and the first one's late tick calls nobody twice."""

    def leader() -> psutil.Process | None:
        token = str(scene.stage.store.get(SaleKeys(scene.lanes[0].sale_id).lease) or "")
        pid = token.partition("~")[0].rpartition(":")[2]
        return next((one for one in scene.stage.controllers if str(one.pid) == pid), None)

    victim = sighted(leader, "somebody leads")
    _stop([victim])
    return f"leader {victim.pid}"


@fault("gateway stopped")
def gateway(scene: Scene) -> str:
    """Requests hang in one process; the other ones answer, and an order that was sent twice stays one."""
    victim = scene.one_of(lambda: scene.stage.gateways, "gateway")
    _stop([victim])
    return f"gateway {victim.pid}"


@fault("Redis stopped")
def redis(scene: Scene) -> str:
    """Redis hangs: everybody is told to come again, and what it does after waking up is done once."""
    assert scene.stage.redis.process
    _stop([psutil.Process(scene.stage.redis.process.pid)])
    return "Redis"


@fault("database stopped")
def database(scene: Scene) -> str:
    """The database hangs: orders are accepted and wait, payments are put off, and nothing is done twice once it goes on."""
    assert scene.stage.database.process
    _stop([psutil.Process(scene.stage.database.process.pid)])
    return "database"

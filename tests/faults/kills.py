"""kill -9: one process at a time, then all at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import psutil

from firstcome.private_server import PrivateServer
from tests.faults.scene import Scene, fault, sighted

# One that dies before it has read or after it has committed proves little; of several some die in between.
HORSES = 3


def _kill(scene: Scene, what: str, find: Callable[[], Sequence[psutil.Process]]) -> str:
    """Kill one that is found; a work-horse may be done and gone before it is hit, and then it is the next one's turn."""

    def killed() -> str | None:
        victim = scene.one_of(find, what)
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return None
        return f"{what} {victim.pid}"

    return sighted(killed, f"a {what} was hit")


@fault("worker killed", quick=True)
def worker(scene: Scene) -> str:
    """A worker takes its work-horse along; the lane's lock is free with their connections, and another worker goes on."""
    return _kill(scene, "worker", lambda: scene.stage.workers)


@fault("work-horse killed", quick=True)
def work_horse(scene: Scene) -> str:
    """Drains die in the middle of their batches: either nothing of one happened, or the next drain passes over what was decided."""
    return ", ".join(_kill(scene, "work-horse", lambda: scene.stage.work_horses) for _ in range(HORSES))


@fault("gateway killed", quick=True)
def gateway(scene: Scene) -> str:
    """Requests die in the middle; the same Idempotency-Key brings the same order, on whichever process answers."""
    return _kill(scene, "gateway", lambda: scene.stage.gateways)


@fault("controller killed", quick=True)
def controller(scene: Scene) -> str:
    """Another controller takes the lead; nobody is called twice, nobody is overtaken."""
    return _kill(scene, "controller", lambda: scene.stage.controllers)


@fault("sweeper killed", quick=True)
def sweeper(scene: Scene) -> str:
    """Nobody rings again for a moment, and nothing needs it."""
    return _kill(scene, "sweeper", lambda: scene.stage.sweepers)


@fault("simulator killed", quick=True)
def simulator(scene: Scene) -> str:
    """The payment provider is away: payments go on under the same keys, and its callbacks come after it is back."""
    return _kill(scene, "simulator", lambda: scene.stage.simulators)


def _down(scene: Scene, server: PrivateServer) -> str:
    server.kill()
    server.start()
    return server.name


@fault("Redis killed", quick=True)
def redis_killed(scene: Scene) -> str:
    """Redis comes back from its AOF under another run id: lanes open again once receipts had time to come, in the same order."""
    return _down(scene, scene.stage.redis)


@fault("database killed", quick=True)
def database_killed(scene: Scene) -> str:
    """Orders are accepted meanwhile; what was committed is there, what was not is decided after the database has recovered."""
    return _down(scene, scene.stage.database)


@fault("power cut")
def power_cut(scene: Scene) -> str:
    """Everything dies at once, servers and all, and starts again on the same data."""
    stage = scene.stage
    assert stage.demo.process
    victims = [psutil.Process(stage.demo.process.pid), *stage.demo.processes()]
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    stage.redis.kill()
    stage.database.kill()
    stage.demo.process.wait()
    stage.redis.start()
    stage.database.start()
    stage.demo.start(120)
    return f"{len(victims)} processes and both servers"


@fault("all restarted")
def restarted(scene: Scene) -> str:
    """An orderly restart of everything, as an upgrade does it: no order, no turn, no payment is dropped."""
    stage = scene.stage
    stage.demo.stop()
    stage.redis.restart()
    stage.database.restart()
    stage.demo.start(120)
    return "everything"

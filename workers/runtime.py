"""What a worker or sweeper process works with. Built by the command line, installed once per process, found by RQ's jobs.

Knows no settings and reads no environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redis import Redis

from shop.mail.effects import LEASE, Effect
from shop.payments.providers import Providers
from shop.storage.database import Database
from shop.vault import Vault
from workers.doorbell import Doorbell
from workers.lane_reader import LaneReader


@dataclass(frozen=True)
class Runtime:
    """The clients and limits of one process.

    `redis` decodes replies to text; `rq_redis` must not (RQ stores bytes) and belongs to RQ alone. Both connect lazily, as `db`
    does, so that a forked work-horse makes connections of its own. `db` has `wait_timeout_s=10`: the server ends a drainer that
    was stopped. `effects` carries out each kind of outbox row,
    `providers` are asked before a hold ends. A visit to a lane takes `slice_s` at most, and waits `linger_s` for the next order.
    `lease_s` after a worker has died, another one carries out what it had in hand.
    """

    db: Database
    redis: Redis
    rq_redis: Redis
    vault: Vault
    effects: Mapping[str, Effect]
    providers: Providers
    slice_s: float = 2.0
    linger_s: float = 0.5
    batch_ms: float = 50.0
    batch_max: int = 500
    sweep_s: float = 2.0
    lease_s: float = LEASE.total_seconds()
    lanes: LaneReader = field(init=False)
    doorbell: Doorbell = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", LaneReader(self.redis))
        object.__setattr__(self, "doorbell", Doorbell(self.rq_redis))


_installed: Runtime | None = None


def install(runtime: Runtime) -> None:
    """Make this the runtime of the process, for jobs that RQ calls by name."""
    global _installed
    _installed = runtime


def current() -> Runtime:
    """The runtime of this process."""
    if _installed is None:
        raise RuntimeError("no runtime is installed in this process")
    return _installed

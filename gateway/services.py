"""Everything that a request may need, built once per process by `app.py` and handed around as one value.

A handler gets it as `services: NamedDependency[Services]`; plain ASGI code as `services_of(scope)`. Holds, decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from litestar.types import Scope
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

    from firstcome.settings import Settings
    from gateway.announcing import Burst
    from gateway.bells import Bells
    from gateway.bounded import AttemptLimiter, BoundedPool, JoinLimiter, LetterLimiter, PollLimiter
    from gateway.draws import Draws
    from gateway.fairness import Reports
    from gateway.metrics import Metrics
    from gateway.networks import Networks
    from gateway.rehearsing import Rehearsals
    from gateway.sessions import Sessions
    from gateway.snapshot import Snapshot
    from gateway.watching import Watch
    from shop.accounts.kit import AccountKit
    from shop.orders.receipt import ReceiptKeys
    from shop.payments.providers import Provider
    from shop.storage.database import Database
    from shop.vault import Vault
    from waiting_room.challenge import Challenges
    from waiting_room.codes import Codes
    from waiting_room.digests import Digests
    from waiting_room.passes import PassReader, PassSigner
    from waiting_room.room import Room
    from waiting_room.ticket import TicketKeys, TicketReader
    from workers.lane_reader import LaneReader
    from workers.lanes import Lanes

P = ParamSpec("P")
T = TypeVar("T")


class KeySet(Protocol):
    """The keys of one purpose: `active` is the id of the one to write with."""

    @property
    def active(self) -> str: ...

    @property
    def by_id(self) -> Mapping[str, bytes]: ...


class Services:
    """One process's connections, keys and caches, given by name: `Services(db=…, room=…)`.

    Not a dataclass: Litestar would read and check the types of all its fields with every request.

    `ticket_keys`, `ticket_id_keys` and `order_id_keys` are asked by the sale's own `ticket_key_id`, which never changes.
    """

    settings: Settings
    db: Database
    redis: AsyncRedis
    redis_sync: Redis
    rq_redis: Redis
    room: Room
    digests: Digests
    lanes: Lanes
    lane_reader: LaneReader
    bells: Bells
    burst: Burst
    vault: Vault
    kit: AccountKit
    sessions: Sessions
    ticket_keys: TicketKeys
    ticket_reader: TicketReader
    ticket_id_keys: KeySet
    order_id_keys: KeySet
    receipt_keys: ReceiptKeys
    idempotency_keys: KeySet
    pass_signer: PassSigner
    pass_reader: PassReader
    jwks: bytes
    codes: Codes
    snapshot: Snapshot
    draws: Draws
    reports: Reports
    watch: Watch
    rehearsals: Rehearsals
    polls: PollLimiter
    joins: JoinLimiter
    networks: Networks
    challenges: Challenges
    attempts: AttemptLimiter
    letters: LetterLimiter
    metrics: Metrics
    providers: Mapping[str, Provider]
    blocking: BoundedPool
    hashing: BoundedPool
    payments: BoundedPool

    def __init__(self, **parts: Any) -> None:
        wrong = parts.keys() ^ type(self).__annotations__.keys()
        if wrong:
            raise TypeError("missing or unknown: " + ", ".join(sorted(wrong)))
        vars(self).update(parts)

    async def threads(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(…)`, which blocks, in a thread. Raises Overloaded when too much waits already."""
        return await self.blocking.run(work, *args, **kwargs)

    def ring_outbox(self) -> None:
        """Something lies in the outbox: wake whoever delivers it."""
        self.bells.outbox()


def services_of(scope: Scope) -> Services:
    """The services of the application that answers this request."""
    services: Services = scope["litestar_app"].state.services
    return services

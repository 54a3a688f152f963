"""Is this process alive, and can it serve: /health/live asks nobody, /health/ready asks every dependency, /metrics counts.

A dependency that fails is named, with nothing about where it is or why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from litestar import Response, get
from litestar.di import NamedDependency
from redis.exceptions import ResponseError

from gateway import metrics
from gateway.bodies.base import HealthBody
from gateway.documenting import refuses
from gateway.refusals import NotReady
from gateway.services import Services
from shop.storage.schema import schema_is_current
from waiting_room.store_terms import KEEPS_EVERYTHING, KEEPS_ON_DISK, MOST_DRIFT_S

log = structlog.get_logger(__name__)

WITHIN_S = 3.0
# A process whose picture is older than this has lost a store for longer than a moment.
OLDEST_SNAPSHOT_S = 10.0

Check = Callable[[Services], Awaitable[bool]]


@get("/health/live", sync_to_thread=False, tags=["health"])
def live() -> HealthBody:
    """The process answers."""
    return HealthBody(status="ok", checks={})


@get("/health/ready", tags=["health"], responses=refuses("not_ready"))
async def ready(services: NamedDependency[Services]) -> HealthBody:
    """Every dependency answers, has this machine's time, and keeps what it is told; `failing` of the problem names those that do not."""
    outcomes = await asyncio.gather(*(_passes(name, check, services) for name, check in _CHECKS.items()))
    failing = [name for name, passed in zip(_CHECKS, outcomes, strict=True) if not passed]
    if failing:
        raise NotReady(failing)
    return HealthBody(status="ready", checks=dict.fromkeys(_CHECKS, "ok"))


@get("/metrics", include_in_schema=False)
async def show_metrics(services: NamedDependency[Services]) -> Response[bytes]:
    """All processes of this machine, for Prometheus."""
    counts = services.metrics
    rendered = await asyncio.get_running_loop().run_in_executor(counts.thread, counts.render)
    return Response(rendered, media_type=metrics.CONTENT_TYPE)


async def _passes(name: str, check: Check, services: Services) -> bool:
    try:
        async with asyncio.timeout(WITHIN_S):
            return await check(services)
    except Exception as error:  # noqa: BLE001 - whatever keeps a dependency from answering, it is not ready
        log.warning("not_ready", check=name, error=type(error).__name__)
        return False


async def _database(services: Services) -> bool:
    now = await services.threads(services.db.read, lambda tx: tx.now)
    return _has_our_time(now.timestamp())


async def _schema(services: Services) -> bool:
    return await services.threads(schema_is_current, services.db)


async def _redis(services: Services) -> bool:
    seconds, micros = await services.redis.time()
    return _has_our_time(seconds + micros / 1e6) and await _keeps_what_it_is_told(services)


async def _keeps_what_it_is_told(services: Services) -> bool:
    """A Redis that keeps its options to itself is taken at its word."""
    wanted = {"maxmemory-policy": KEEPS_EVERYTHING}
    if not services.settings.demo:
        wanted["appendonly"] = KEEPS_ON_DISK
    try:
        return all([(await services.redis.config_get(name)).get(name) == wanted[name] for name in wanted])
    except ResponseError:
        return True


def _has_our_time(their_time_s: float) -> bool:
    return abs(time.time() - their_time_s) < MOST_DRIFT_S


async def _queue(services: Services) -> bool:
    return bool(await services.threads(services.rq_redis.ping))


async def _snapshot(services: Services) -> bool:
    return all(age is not None and age < OLDEST_SNAPSHOT_S for age in services.snapshot.age_s)


_CHECKS: dict[str, Check] = {
    "database": _database,
    "schema": _schema,
    "redis": _redis,
    "queue": _queue,
    "snapshot": _snapshot,
}

HANDLERS: list[Any] = [live, ready, show_metrics]

"""Redis clients as this product wants them: short timeouts, and no hidden retries.

redis-py would otherwise send a command again when only its reply was lost, and a tick or a join would happen twice; what may be
repeated is repeated by whoever knows. A URL with `+sentinel` names the Sentinels, which are asked for the master by every new
connection. Knows no keys and no commands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import hiredis
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from firstcome.urls import Watched, watched

CONNECT_WITHIN_S = 1.0
REPLY_WITHIN_S = 1.0
# RQ waits for jobs with a blocking command, and sets longer read timeouts of its own.
RQ_REPLY_WITHIN_S = 15.0


def redis_async(url: str, *, connections: int = 64) -> redis.asyncio.Redis:
    """A client for coroutines; replies are text. At most `connections` are open, further callers are refused."""
    options = _options(AsyncRetry(NoBackoff(), 0), text=True) | {"max_connections": connections}
    told = watched(url)
    if told is None:
        return _packing_in_c(redis.asyncio.Redis.from_url(url, **options))
    sentinel = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        told.sentinels, sentinel_kwargs=_to_sentinels(told, AsyncRetry(NoBackoff(), 0))
    )
    client: redis.asyncio.Redis = sentinel.master_for(
        told.service, connection_pool_class=_WatchedPool, **_to_master(told), **options
    )
    return _packing_in_c(client)


def redis_sync(url: str) -> redis.Redis:
    """A client for plain functions; replies are text."""
    return _sync(url, text=True, reply_within_s=REPLY_WITHIN_S)


def rq_redis(url: str, *, reply_within_s: float = RQ_REPLY_WITHIN_S) -> redis.Redis:
    """A client for RQ, which stores bytes and fails on text replies. Whoever only rings bells may wait less for a reply."""
    return _sync(url, text=False, reply_within_s=reply_within_s)


def _sync(url: str, *, text: bool, reply_within_s: float) -> redis.Redis:
    options = _options(Retry(NoBackoff(), 0), text=text) | {"socket_timeout": reply_within_s}
    told = watched(url)
    if told is None:
        return redis.Redis.from_url(url, **options)
    sentinel = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        told.sentinels, sentinel_kwargs=_to_sentinels(told, Retry(NoBackoff(), 0))
    )
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        told.service, **_to_master(told), **options
    )
    return client


def sentinels(told: Watched) -> list[redis.Redis]:
    """A client for each of the Sentinels themselves."""
    options = _to_sentinels(told, Retry(NoBackoff(), 0))
    return [
        redis.Redis(host=host, port=port, decode_responses=True, **options) for host, port in told.sentinels
    ]


def _packing_in_c(client: redis.asyncio.Redis) -> redis.asyncio.Redis:
    """Let hiredis write the client's commands, as it does in redis-py's synchronous one: a script with its thirty words takes 3 µs
    to write down instead of 60.
    """
    pool = client.connection_pool
    pool.connection_class = type("Packing", (_PackingInC, pool.connection_class), {})
    return client


class _PackingInC:
    """A connection's writing of commands. A command's name of several words ("CONFIG GET") is several words to Redis."""

    def pack_command(self, *words: Any) -> list[bytes]:
        name, *rest = words
        name = name.encode() if isinstance(name, str) else name
        return [hiredis.pack_command((*name.split(), *rest))]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join([self.pack_command(*words)[0] for words in commands])]


class _WatchedPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Closes its connections to the Sentinels together with those to the master."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def _options(retry: Any, *, text: bool) -> dict[str, Any]:
    return {"decode_responses": text} | _briefly(retry)


def _briefly(retry: Any) -> dict[str, Any]:
    """Bounded waits, and a new connection without round trips that nobody needs: a slow store must be reachable in time."""
    return {
        "retry": retry,
        "socket_connect_timeout": CONNECT_WITHIN_S,
        "socket_timeout": REPLY_WITHIN_S,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def _to_master(told: Watched) -> dict[str, Any]:
    return {"username": told.username, "password": told.password, "db": told.db, "ssl": told.tls}


def _to_sentinels(told: Watched, retry: Any) -> dict[str, Any]:
    return {"password": told.sentinel_password, "ssl": told.tls} | _briefly(retry)

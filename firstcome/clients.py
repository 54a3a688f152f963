"""Redis clients as this product wants them: short timeouts, and no hidden retries.

redis-py would otherwise send a command again when only its reply was lost, and a tick or a join would happen twice; what may be
repeated is repeated by whoever knows. Knows no keys and no commands.
"""

from __future__ import annotations

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_WITHIN_S = 1.0
REPLY_WITHIN_S = 1.0
# RQ waits for jobs with a blocking command, and sets longer read timeouts of its own.
RQ_REPLY_WITHIN_S = 15.0


def redis_async(url: str, *, connections: int = 64) -> redis.asyncio.Redis:
    """A client for coroutines; replies are text. At most `connections` are open, further callers are refused."""
    return redis.asyncio.Redis.from_url(
        url,
        decode_responses=True,
        retry=AsyncRetry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_WITHIN_S,
        socket_timeout=REPLY_WITHIN_S,
        max_connections=connections,
    )


def redis_sync(url: str) -> redis.Redis:
    """A client for plain functions; replies are text."""
    return _sync(url, text=True, reply_within_s=REPLY_WITHIN_S)


def rq_redis(url: str, *, reply_within_s: float = RQ_REPLY_WITHIN_S) -> redis.Redis:
    """A client for RQ, which stores bytes and fails on text replies. Whoever only rings bells may wait less for a reply."""
    return _sync(url, text=False, reply_within_s=reply_within_s)


def _sync(url: str, *, text: bool, reply_within_s: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        decode_responses=text,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_WITHIN_S,
        socket_timeout=reply_within_s,
    )

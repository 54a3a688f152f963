"""A Redis that forgets when it is full is no home for a line: no process begins beside one."""

from __future__ import annotations

import contextlib

from redis.exceptions import RedisError

from firstcome import clients
from firstcome.private_server import ServerFault
from firstcome.settings import Settings
from waiting_room.store_terms import KEEPS_EVERYTHING


def refuse(settings: Settings) -> None:
    """Outside a demo, raise ServerFault if Redis is set to throw away what it was told once its memory is full.

    A Redis that is not there yet, or that keeps its options to itself, is no reason not to start.
    """
    if settings.demo:
        return
    with contextlib.closing(clients.redis_sync(settings.redis_url)) as client:
        try:
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy", KEEPS_EVERYTHING)
        except RedisError:
            return
    if policy != KEEPS_EVERYTHING:
        raise ServerFault(
            f"Redis has maxmemory-policy {policy}: when full it would throw places and orders away. "
            f"Set maxmemory-policy {KEEPS_EVERYTHING}."
        )

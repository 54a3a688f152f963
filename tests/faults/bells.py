"""Doorbells and callbacks that come twice, in another order, or not at all."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from rq import Queue
from rq.serializers import JSONSerializer

from firstcome import clients
from firstcome.processes.simulator import CALLBACK_PATH
from shop.payments.webhooks import read_secrets, sign
from tests.faults.scene import Scene, fault, sighted
from workers.doorbell import QUEUE_LANES, Doorbell

RINGS = 60
SILENT_S = 3.0
AGAIN = 60


@fault("doorbells doubled")
def doubled(scene: Scene) -> str:
    """Every lane's bell is rung again and again, in any order: each lane is still decided by one at a time."""
    with contextlib.closing(clients.rq_redis(scene.stage.redis.url)) as client:
        bell = Doorbell(client)
        for _ in range(RINGS):
            assert bell.ring(scene.chance.choice(scene.lanes).sale_id)
    return f"{RINGS} rings"


@fault("doorbells lost")
def lost(scene: Scene) -> str:
    """No bell is heard for a while: the sweeper rings again where entries wait."""
    until, thrown = time.monotonic() + SILENT_S, 0
    with contextlib.closing(clients.rq_redis(scene.stage.redis.url)) as client:
        queue = Queue(QUEUE_LANES, connection=client, serializer=JSONSerializer)
        while time.monotonic() < until:
            thrown += queue.empty()
    return f"{thrown} rings"


@fault("callbacks again", quick=True)
def callbacks(scene: Scene) -> str:
    """What the provider has told lately is told again, twice and backwards: no order, stock or refund moves."""

    def delivered() -> list[tuple[str, str]]:
        with contextlib.closing(sqlite3.connect(scene.stage.provider_books)) as books:
            query = "SELECT event_id, body FROM deliveries ORDER BY delivery_id DESC LIMIT ?"
            rows = books.execute(query, (AGAIN,)).fetchall()
        return rows if len(rows) >= max(1, scene.wave // 4) else []

    told = sighted(delivered, "the provider has told something", 30)
    keys = read_secrets(scene.stage.settings.simulator_webhook_secrets)

    def tell(event: tuple[str, str]) -> int:
        event_id, body = event[0], event[1].encode()
        headers = sign(event_id, int(time.time()), body, keys)
        address = scene.stage.demo.url + CALLBACK_PATH
        return httpx.post(address, content=body, headers=headers, timeout=10, trust_env=False).status_code

    with ThreadPoolExecutor(4) as threads:
        codes = list(threads.map(tell, [event for event in told for _ in range(2)]))
    assert set(codes) <= {200, 503}, codes
    return f"{len(told)} callbacks"

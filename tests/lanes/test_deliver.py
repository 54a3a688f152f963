"""One visit to the outbox."""

from __future__ import annotations

from typing import Any

import redis
import structlog

from firstcome.servers import PrivateRedis
from shop.mail.effects import Request, put_effects
from shop.storage.database import Database
from tests.lanes.floor import runtime
from workers.deliver import EFFECTS_A_JOB, deliver

BELLS = "rq:queue:outbox"


def test_a_visit_carries_out_some_effects_and_rings_for_the_rest(
    redis_sync: redis.Redis, redis_server: PrivateRedis, db: Database, database_url: str
) -> None:
    greeted: list[int] = []

    def greet(payload: dict[str, Any]) -> None:
        greeted.append(payload["number"])

    work = runtime(redis_server.url, database_url, effects={"greet": greet})
    db.run(
        put_effects,
        work.vault,
        [Request("greet", f"greet:{number}", {"number": number}) for number in range(EFFECTS_A_JOB + 3)],
    )

    deliver(work)
    assert greeted == list(range(EFFECTS_A_JOB))
    assert redis_sync.llen(BELLS) == 1
    deliver(work)
    assert greeted == list(range(EFFECTS_A_JOB + 3))
    work.db.dispose()


def test_without_a_database_effects_wait(redis_sync: redis.Redis, redis_server: PrivateRedis) -> None:
    away = runtime(redis_server.url, "mysql://nobody@127.0.0.1:1/nothing")

    with structlog.testing.capture_logs() as logs:
        deliver(away)

    assert [line["event"] for line in logs] == ["outbox_waits"]

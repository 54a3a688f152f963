"""Thousands of random traces, run by a plain model of the room and by the real scripts, which agree after every step.

`make model ROUNDS=n SEED=s` runs any number; a failure prints its seed and the smallest trace that still fails.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator

import pytest
import structlog
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.model.trial import Runner, source_with_a_clock_of_its_own

ROUNDS = int(os.environ.get("ROUNDS", "400"))
SEED = int(os.environ.get("SEED", "0"))


@pytest.fixture
async def runner(redis_async: Redis, redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runner]:
    monkeypatch.setattr("waiting_room.collector.source", source_with_a_clock_of_its_own)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    raw: Redis = Redis.from_url(redis_server.url)
    yield Runner(redis_async, raw)
    await raw.aclose()
    structlog.reset_defaults()


@pytest.mark.timeout(0)
async def test_the_model_and_the_scripts_agree_on_every_trace(runner: Runner) -> None:
    print(f"traces {SEED} to {SEED + ROUNDS - 1}")
    failure = await runner.first_failure(iter(range(SEED, SEED + ROUNDS)))
    assert failure is None, str(failure)

"""A whole rehearsal: the settings as given, then a few others for the same crowd, and which of them to take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import redis
from redis.asyncio import Redis

from rehearsal.crowd import Buyer, crowd_of
from rehearsal.plan import Plan
from rehearsal.report import Outcome, Report, brief, choices, recommend
from rehearsal.stage import Stage

# Whoever stands behind changes nothing for those ahead: what is only compared needs no more of the crowd than is called, unless the
# line runs dry.
SPARE = 1_000


async def rehearse(url: str, plan: Plan) -> Report:
    """On the Redis of this URL, which must be a private one: it is emptied. Raises RehearsalFault, RoomUnavailable, RedisError."""
    client = Redis.from_url(url, decode_responses=True, retry=None)
    sync = redis.Redis.from_url(url, decode_responses=True, retry=None)
    try:
        sync.flushall()
        return await _rehearse(client, sync, plan)
    finally:
        await client.aclose()
        sync.close()


async def _rehearse(client: Redis, sync: redis.Redis, plan: Plan) -> Report:
    buyers = crowd_of(plan)
    early = Stage(client, sync, "early", plan, buyers)
    await early.prepare()

    async def play(sale_id: str, chosen: Plan, crowd: Sequence[Buyer]) -> tuple[Outcome, bool]:
        stage = Stage(client, sync, sale_id, chosen, crowd)
        await stage.copy_from(early)
        outcome = await stage.run()
        await stage.clear()
        return outcome, stage.ran_dry

    given, _ = await play("given", plan, buyers)
    trials = [brief(given)]
    most_slots = max(10, math.ceil(plan.stock * plan.over_call_limit))
    front = buyers[: max(early.size, 2 * given.calls + SPARE)]
    for at, (calls_per_minute, capacity) in enumerate(choices(given, most_slots)):
        chosen = msgspec.structs.replace(plan, calls_per_minute=calls_per_minute, capacity=capacity)
        outcome, ran_dry = await play(f"trial{at}", chosen, front)
        if ran_dry and len(front) < len(buyers):
            outcome, _ = await play(f"whole{at}", chosen, buyers)
        trials.append(brief(outcome))
    return Report(plan=plan, outcome=given, trials=trials, recommended=recommend(trials))

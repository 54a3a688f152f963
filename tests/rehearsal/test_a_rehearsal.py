"""A rehearsal on a private Redis: the real scripts and the real pace, everybody accounted for, the same again by the same seed."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import pytest
import redis
import redis.asyncio
from click.testing import CliRunner, Result

from firstcome.cli import cli
from rehearsal.crowd import Buyer, crowd_of
from rehearsal.plan import Plan
from rehearsal.report import Outcome
from rehearsal.stage import Stage

SMALL = Plan(crowd=2_000, stock=100, calls_per_minute=1_200, capacity=60, lasts_s=900)
# Everybody comes, answers and pays quickly: nothing but the rate holds the line back.
EAGER = Plan(
    crowd=200, before_opening=1, no_show_share=0, leave_share=0, unpaid_share=0, stock=150, capacity=1_000,
    checkout_median_s=1, checkout_p90_s=2, payment_median_s=1, payment_p90_s=2,
)  # fmt: skip


async def play(
    client: redis.asyncio.Redis, sync: redis.Redis, plan: Plan, buyers: Sequence[Buyer] | None = None
) -> Outcome:
    sync.flushall()
    stage = Stage(client, sync, "one", plan, buyers or crowd_of(plan))
    await stage.prepare()
    return await stage.run()


async def test_everybody_is_accounted_for_and_nothing_is_sold_twice(
    redis_async: redis.asyncio.Redis, redis_sync: redis.Redis
) -> None:
    outcome = await play(redis_async, redis_sync, SMALL)

    assert sum(outcome.fates.values()) == SMALL.crowd
    assert outcome.sold == outcome.fates["bought"] <= SMALL.stock
    assert all(0 <= sample.held + sample.sold <= SMALL.stock for sample in outcome.samples)
    assert all(sample.slots <= SMALL.capacity for sample in outcome.samples)
    assert sum(sample.calls for sample in outcome.samples) == outcome.calls
    assert outcome.missed_turns > 0
    assert outcome.fates["left"] > 0
    assert outcome.limits_s.get("capacity", 0) > 0


async def test_more_buyers_than_units_in_checkout_never_get_more_than_there_are(
    redis_async: redis.asyncio.Redis, redis_sync: redis.Redis
) -> None:
    plan = msgspec.structs.replace(
        SMALL, no_show_share=0.5, over_call_limit=2.0, capacity=1_000, unpaid_share=0, hold_s=900
    )
    outcome = await play(redis_async, redis_sync, plan)

    assert outcome.fates["refused"] > 0, "nobody came too late to the last unit, so nothing was tried"
    assert outcome.sold == plan.stock
    assert all(sample.held + sample.sold <= plan.stock for sample in outcome.samples)


async def test_the_same_seed_gives_the_same_report_and_another_one_does_not(
    redis_async: redis.asyncio.Redis, redis_sync: redis.Redis
) -> None:
    plan = msgspec.structs.replace(SMALL, stock=20, capacity=10)  # more come at once than one batch takes
    first = await play(redis_async, redis_sync, plan)

    assert await play(redis_async, redis_sync, plan) == first
    assert await play(redis_async, redis_sync, msgspec.structs.replace(plan, seed=2)) != first


async def test_a_higher_rate_never_sells_out_later_where_only_the_rate_limits(
    redis_async: redis.asyncio.Redis, redis_sync: redis.Redis
) -> None:
    ended = []
    for rate in (60, 120, 240, 1_200):
        plan = msgspec.structs.replace(EAGER, calls_per_minute=rate)
        outcome = await play(redis_async, redis_sync, plan)
        assert outcome.sold_out_s is not None
        assert (
            max(sum(s.calls for s in outcome.samples if at < s.at_s <= at + 60) for at in range(0, 120, 60))
            <= rate
        )
        ended.append(outcome.sold_out_s)

    assert ended == sorted(ended, reverse=True)
    assert ended[0] > ended[-1]


# ---------------------------------------------------------------- the command


def rehearse(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["rehearse", *words], input=text)


def test_the_command_tells_the_report_as_json() -> None:
    said = rehearse(
        "--plan", "-", "--json", "--crowd", "60", "--stock", "5", text='{"lasts_s": 120, "seed": 7}'
    )

    assert said.exit_code == 0, said.output
    report = json.loads(said.output)
    assert (report["plan"]["crowd"], report["plan"]["seed"], report["plan"]["lasts_s"]) == (60, 7, 120)
    assert sum(report["outcome"]["fates"].values()) == 60
    assert report["recommended"] in report["trials"]


@pytest.mark.parametrize(
    ("words", "text", "named"),
    [
        (("--crowd", "0"), None, "crowd"),
        (("--no-show-share", "1.5"), None, "no_show_share"),
        (("--payment-p90-s", "1"), None, "payment_p90_s"),
        (("--plan", "-"), '{"crowds": 3}', "crowds"),
        (("--plan", "-"), "{", "plan"),
    ],
)
def test_a_plan_that_cannot_be_used_is_one_line(words: tuple[str, ...], text: str | None, named: str) -> None:
    said = rehearse(*words, text=text)

    assert said.exit_code == 2
    assert named in said.output
    assert len(said.output.splitlines()) == 1

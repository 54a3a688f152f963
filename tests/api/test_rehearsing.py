"""Rehearsals over HTTP: who may, what a plan may be, one at a time, and nothing left over."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.refusals import RehearsalBrokeOff, RehearsalBusy
from gateway.rehearsing import Rehearsals
from rehearsal.plan import Plan
from tests.api.conftest import House, problem

# Tells its pid, and then nothing more.
SILENT = (sys.executable, "-c", "import time; time.sleep(60)")


async def test_operators_rehearse_with_the_settings_of_the_sale(house: House) -> None:
    later = datetime.now(UTC) + timedelta(minutes=30)
    slug = await house.sale(opens_at=later.isoformat(), calls_per_minute=77, capacity=13)
    operator, viewer, buyer = await house.operator(), await house.operator("viewer"), await house.buyer()
    path, body = f"/operator/sales/{slug}/rehearsal", {"crowd": 40, "lasts_s": 60}

    for stranger in (viewer, buyer):
        problem(await stranger.ask("POST", path, json=body), 403, "forbidden")
    answer = await operator.ask("POST", path, json=body)

    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["plan"]["calls_per_minute"], report["plan"]["capacity"]) == (77, 13)
    assert report["trials"][0]["calls_per_minute"] == 77
    assert sum(report["outcome"]["fates"].values()) == 40
    assert report["recommended"] in report["trials"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"crowd": 0}, "crowd"),
        ({"crowd": 10**9}, "crowd"),
        ({"no_show_share": 2}, "no_show_share"),
        ({"spike": 3}, "spike"),
        ({"payment_median_s": 100, "payment_p90_s": 50}, "payment_p90_s"),
    ],
)
async def test_a_plan_that_cannot_be_rehearsed_names_its_field(
    house: House, body: dict[str, Any], field: str
) -> None:
    slug = await house.sale()
    refused = problem(
        await (await house.operator()).ask("POST", f"/operator/sales/{slug}/rehearsal", json=body),
        422,
        "bad_fields",
    )
    assert [error["field"] for error in refused["errors"]] == [field]


async def test_a_sale_that_is_not_there_is_not_rehearsed(house: House) -> None:
    operator = await house.operator()
    problem(await operator.ask("POST", "/operator/sales/nowhere/rehearsal", json={}), 404, "unknown_sale")


async def test_one_at_a_time_and_one_that_takes_too_long_is_ended() -> None:
    rehearsals = Rehearsals(SILENT, longest_s=1.0)
    first = asyncio.create_task(rehearsals.run(Plan()))
    await asyncio.sleep(0)  # it has begun
    with pytest.raises(RehearsalBusy):
        await rehearsals.run(Plan())
    with pytest.raises(RehearsalBrokeOff, match="longer"):
        await first

    with pytest.raises(RehearsalBrokeOff):  # the next one may begin
        await Rehearsals((sys.executable, "-c", "raise SystemExit(1)")).run(Plan())

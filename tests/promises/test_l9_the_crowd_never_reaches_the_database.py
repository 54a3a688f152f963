"""L9: a buyer who waits costs no database query, and the crowd on the public pages reaches neither store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from tests.api.conftest import House, house, running

__all__ = ["house", "running"]

CROWD = 200
# The picture of the catalogue is renewed by the clock, twice a second, however many look at it.
RENEWING = "snapshot"


@contextmanager
def statements_of_requests(house: House) -> Iterator[list[str]]:
    """Fills a list with every SQL statement but those that renew the snapshot."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not threading.current_thread().name.startswith(RENEWING):
            seen.append(statement)

    engine = house.services.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_joining_polling_extending_claiming_and_leaving_ask_no_database(house: House) -> None:
    sale, buyer, other = await house.sale(), await house.buyer(), await house.buyer()
    with statements_of_requests(house) as seen:
        joined = (await buyer.ask("PUT", f"/sales/{sale}/ticket")).json()
        shown = {"Waiting-Room-Ticket": joined["ticket"]}
        for _ in range(5):
            polled = await house.client.get(f"/api/v1/sales/{sale}/ticket", headers=shown)
            assert polled.json()["state"] == "waiting"
        await house.tick(sale)
        assert (await buyer.ask("POST", f"/sales/{sale}/ticket/extend")).status_code == 200
        assert (await buyer.ask("POST", f"/sales/{sale}/pass")).status_code == 200
        await other.ask("PUT", f"/sales/{sale}/ticket")
        assert (await other.ask("DELETE", f"/sales/{sale}/ticket")).status_code == 204
    assert seen == []


async def test_polls_of_those_who_wait_reach_no_store(house: House) -> None:
    sale = await house.sale(calls_per_minute=60)
    people = [await house.buyer() for _ in range(15)]
    shown = [(await each.ask("PUT", f"/sales/{sale}/ticket")).json()["ticket"] for each in people]
    await house.tell_crowd(sale)
    before = await _commands(house)
    with statements_of_requests(house) as seen:
        polls = [
            house.client.get(f"/api/v1/sales/{sale}/ticket", headers={"Waiting-Room-Ticket": ticket})
            for ticket in shown[5:]
            for _ in range(8)
        ]
        answers = await asyncio.gather(*polls)
    assert [answer.json()["ahead"] for answer in answers] == [n for n in range(5, 15) for _ in range(8)]
    assert {answer.json()["state"] for answer in answers} == {"waiting"}
    assert seen == []
    assert await _commands(house) - before < len(polls) / 2, (
        "what the clock asks does not grow with the crowd"
    )


async def test_accepting_an_order_asks_no_database(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    admission = await house.admitted(buyer, sale)
    with statements_of_requests(house) as seen:
        assert (await house.order(buyer, sale, pass_=admission)).status_code == 202
    assert seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sales/{sale}",
        "/api/v1/sales",
        "/api/v1/sales/{sale}",
        "/api/v1/products",
        "/api/v1/sales/{sale}/line",
    ],
)
async def test_a_crowd_that_reloads_a_public_page_reaches_no_store(house: House, path: str) -> None:
    sale = await house.sale()
    address = path.format(sale=sale)
    assert (await house.client.get(address)).status_code == 200
    before = await _commands(house)
    with statements_of_requests(house) as seen:
        answers = await asyncio.gather(*(house.client.get(address) for _ in range(CROWD)))
    assert {answer.status_code for answer in answers} == {200}
    assert seen == []
    # What the clock asks meanwhile does not grow with the crowd.
    assert await _commands(house) - before < CROWD / 2


async def test_a_crowd_of_polls_that_are_too_many_reaches_no_store(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    shown = {"Waiting-Room-Ticket": (await buyer.ask("PUT", f"/sales/{sale}/ticket")).json()["ticket"]}
    before = await _commands(house)
    with statements_of_requests(house) as seen:
        polls = (house.client.get(f"/api/v1/sales/{sale}/ticket", headers=shown) for _ in range(CROWD))
        statuses = [answer.status_code for answer in await asyncio.gather(*polls)]
    assert statuses.count(200) == 8
    assert statuses.count(429) == CROWD - 8
    assert seen == []
    assert await _commands(house) - before < CROWD / 2


async def _commands(house: House) -> int:
    return int((await house.services.redis.info("commandstats"))["cmdstat_evalsha"]["calls"])

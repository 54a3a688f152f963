"""A store is down: clear refusals that say when to come back, nothing half-done, and recovery without a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from firstcome.servers import EmbeddedRedis, PrivateRedis
from firstcome.settings import Settings
from gateway.app import create_app
from tests.api.conftest import House, open_house, problem, running
from waiting_room.digests import AWAY_FOR_S
from waiting_room.refusals import RoomUnavailable


@pytest.fixture
def own_redis(servers_dir: Path) -> PrivateRedis:
    """A Redis that this test may kill."""
    kind = PrivateRedis if PrivateRedis.find() else EmbeddedRedis
    return kind(servers_dir / "mortal").start()


@pytest.fixture
async def mortal(settings: Settings, own_redis: PrivateRedis) -> AsyncIterator[House]:
    """A house on a Redis that may be killed."""
    changed = settings.model_copy(update={"redis_url": own_redis.url, "rq_redis_url": own_redis.url})
    async with open_house(changed) as house:
        yield house
    own_redis.stop()


async def test_without_redis_the_line_refuses_the_catalogue_stays_and_all_comes_back(
    mortal: House, own_redis: PrivateRedis
) -> None:
    sale, buyer, waiting = await mortal.sale(), await mortal.buyer(), await mortal.buyer()
    admission = await mortal.admitted(buyer, sale)
    await waiting.ask("PUT", f"/sales/{sale}/ticket")
    own_redis.kill()
    for method, what in (("PUT", "ticket"), ("GET", "ticket"), ("POST", "pass"), ("DELETE", "ticket")):
        problem(await waiting.ask(method, f"/sales/{sale}/{what}"), 503, "room_unavailable")
    problem(await mortal.order(buyer, sale, pass_=admission, key="the-same-key"), 503, "lane_unavailable")
    assert (await mortal.client.get(f"/api/v1/sales/{sale}")).status_code == 200
    assert (await mortal.client.get(f"/api/v1/sales/{sale}/line")).status_code == 200, (
        "the last picture serves on"
    )
    assert (await mortal.client.get("/")).status_code == 200
    body = problem(await mortal.client.get("/health/ready"), 503, "not_ready")
    assert set(body["failing"]) == {"redis", "queue"}
    assert (await mortal.client.get("/health/live")).status_code == 200
    own_redis.start()
    await mortal.lead_again(sale)
    assert (await mortal.client.get("/health/ready")).status_code == 200
    await mortal.lane_opens(sale)
    accepted = await mortal.order(buyer, sale, pass_=admission, key="the-same-key")
    assert accepted.status_code == 202, accepted.text


async def test_without_redis_those_who_wait_keep_their_place_for_half_a_minute_and_nobody_joins(
    mortal: House, own_redis: PrivateRedis
) -> None:
    sale, first, second, newcomer = await mortal.sale(), *[await mortal.buyer() for _ in range(3)]
    await first.ask("PUT", f"/sales/{sale}/ticket")
    held = (await second.ask("PUT", f"/sales/{sale}/ticket")).json()
    clock = await mortal.tell_crowd(sale)
    own_redis.kill()
    with pytest.raises(RoomUnavailable):
        await mortal.services.digests.renew([mortal.sale_id(sale)])
    shown = {"Waiting-Room-Ticket": held["ticket"]}
    answer = await mortal.client.get(f"/api/v1/sales/{sale}/ticket", headers=shown)
    assert answer.status_code == 200, answer.text
    place = answer.json()
    assert (place["state"], place["number"], place["ahead"]) == ("waiting", held["number"], 1)
    assert place["ticket"] == held["ticket"]
    assert place["estimate"] == {"low_s": None, "high_s": None}
    problem(await newcomer.ask("PUT", f"/sales/{sale}/ticket"), 503, "room_unavailable")
    problem(await second.ask("POST", f"/sales/{sale}/pass"), 503, "room_unavailable")
    problem(await second.ask("GET", f"/sales/{sale}/ticket"), 503, "room_unavailable")
    clock.now_s += AWAY_FOR_S
    answer = await mortal.client.get(f"/api/v1/sales/{sale}/ticket", headers=shown)
    problem(answer, 503, "room_unavailable")


async def test_without_its_database_the_gateway_starts_says_so_and_keeps_asking(settings: Settings) -> None:
    gone = settings.model_copy(update={"database_url": "mysql+pymysql://nobody@127.0.0.1:9/nothing"})
    app = create_app(gone)
    way = httpx.ASGITransport(app=app)
    async with running(app), httpx.AsyncClient(transport=way, base_url=gone.base_url) as client:
        assert (await client.get("/health/live")).status_code == 200
        body = problem(await client.get("/health/ready"), 503, "not_ready")
        assert {"database", "schema", "snapshot"} <= set(body["failing"])
        problem(await client.get("/api/v1/sales"), 503, "unavailable")
        credentials = {"email": "a@example.test", "password": "a password"}
        problem(await client.post("/api/v1/sessions", json=credentials), 503, "unavailable")
        assert "127.0.0.1:9" not in (await client.get("/api/v1/sales")).text
        page = await client.get("/", headers={"Accept": "text/html"})
        assert (page.status_code, "Please try again in a moment" in page.text) == (503, True)
        assert "None" not in page.text

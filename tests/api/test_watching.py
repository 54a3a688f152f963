"""Figures as a stream: one look for all who watch, a bound, and an end with the session; and what the figures tell."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection

import msgspec
import pytest

from gateway.bodies.operator import FiguresBody
from gateway.refusals import Overloaded
from gateway.watching import Watch
from shop.accounts.sessions import sign_out
from shop.sales.publication import read_publication
from tests.api.conftest import House, problem
from waiting_room.recovery import Loss
from workers.publish import publish_sale


class Sessions:
    """Sessions that are ended by taking them out."""

    def __init__(self, *live: str) -> None:
        self.live = set(live)

    async def __call__(self, ids: Collection[str]) -> set[str]:
        return self.live & set(ids)


class Looks:
    """A picture that says how often it was looked at; `away` makes the store fail."""

    def __init__(self) -> None:
        self.count = 0
        self.away = False

    async def __call__(self, sale: str) -> bytes:
        self.count += 1
        if self.away:
            raise ConnectionError("the store is away")
        return f'"{sale} {self.count}"'.encode()


async def events(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    """The first events of a stream, without the one that says when to connect again."""
    async with asyncio.timeout(10):
        assert (await anext(stream)).startswith(b"retry: ")
        return [await anext(stream) for _ in range(count)]


async def test_many_watchers_cost_one_look() -> None:
    looks = Looks()
    watch = Watch(looks, Sessions("s"), every_s=0.02)
    streams = [watch.watch("demo", "s") for _ in range(20)]
    seen = await asyncio.gather(*(events(stream, 5) for stream in streams))
    assert looks.count <= 8
    assert {len(one) for one in seen} == {5}
    assert watch.streams == 20
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    assert watch.streams == 0
    done = looks.count
    await asyncio.sleep(0.1)
    assert looks.count <= done + 1, "nobody watches, nobody looks"


async def test_streams_are_bounded_and_make_room_when_they_end() -> None:
    watch = Watch(Looks(), Sessions("s"), every_s=0.02, most=2)
    first, second = watch.watch("a", "s"), watch.watch("b", "s")
    await events(first, 1)
    await events(second, 1)
    with pytest.raises(Overloaded):
        watch.watch("a", "s")
    await first.aclose()  # type: ignore[attr-defined]
    await events(watch.watch("a", "s"), 1)


async def test_a_store_that_is_away_ends_no_stream() -> None:
    looks = Looks()
    watch = Watch(looks, Sessions("s"), every_s=0.02)
    stream = watch.watch("demo", "s")
    assert (await events(stream, 1))[0].startswith(b"data: ")
    looks.away = True
    while not (await anext(stream)).startswith(b":"):
        pass
    looks.away = False
    while not (await anext(stream)).startswith(b"data: "):
        pass


async def test_streams_end_when_the_process_is_about_to_end_and_none_begins() -> None:
    watch = Watch(Looks(), Sessions("s"), every_s=0.02)
    stream = watch.watch("demo", "s")
    await events(stream, 1)
    watch.close()
    async with asyncio.timeout(5):
        async for _ in stream:
            pass
    with pytest.raises(Overloaded):
        watch.watch("demo", "s")


async def test_a_stream_shows_the_real_figures_and_ends_with_its_session(house: House) -> None:
    slug, operator = await house.sale(), await house.operator()
    principal = house.services.sessions.read(operator.token, "bearer")
    assert principal is not None
    stream = house.services.watch.watch(slug, principal.session_id)
    (event,) = await events(stream, 1)
    told = msgspec.json.decode(event.removeprefix(b"data: "), type=FiguresBody)
    assert (told.sale, told.phase) == (slug, "open")
    sign_out(house.services.db, principal.session_id)
    async with asyncio.timeout(20):
        async for _ in stream:
            pass


async def test_who_may_not_watch_gets_no_stream(house: House) -> None:
    slug, buyer, operator = await house.sale(), await house.buyer(), await house.operator("viewer")
    path, wanted = f"/operator/sales/{slug}/figures", {"Accept": "text/event-stream"}
    problem(await buyer.ask("GET", path, headers=wanted), 403, "forbidden")
    problem(await house.client.get(f"/api/v1{path}", headers=wanted), 401, "not_signed_in")
    problem(await operator.ask("GET", "/operator/sales/nothing/figures", headers=wanted), 404, "unknown_sale")


# ---------------------------------------------------------------- what they tell


async def figures(house: House, slug: str) -> FiguresBody:
    viewer = await house.operator("viewer")
    answer = await viewer.ask("GET", f"/operator/sales/{slug}/figures")
    return msgspec.json.decode(answer.content, type=FiguresBody)


async def test_everybody_who_was_called_is_somewhere(house: House) -> None:
    slug = await house.sale()
    stays, leaves, buys, goes = [await house.buyer() for _ in range(4)]
    await goes.ask("PUT", f"/sales/{slug}/ticket")
    await goes.ask("DELETE", f"/sales/{slug}/ticket")
    await house.called(stays, slug)
    await house.called(leaves, slug)
    await leaves.ask("DELETE", f"/sales/{slug}/ticket")
    await house.reserved(buys, slug)
    seen = (await figures(house, slug)).line
    assert (seen.waiting, seen.called, seen.shopping, seen.ordering) == (0, 1, 0, 1)
    assert (seen.left, seen.freed, seen.no_shows, seen.lapsed) == (2, 1, 1, 0)
    assert seen.calls_last_minute == 3


async def test_missed_and_lapsed_turns_are_told_apart(house: House) -> None:
    slug, late = await house.sale(turn_window_s=200, comeback_s=1), await house.buyer()
    await house.called(late, slug)
    for _ in range(200):
        await house.tick(slug, dt_ms=1000, calls=0)
        seen = await house.services.room.oversee(house.sale_id(slug))
        if seen.missed:
            break
    assert (await figures(house, slug)).line.missed == 1
    for _ in range(3):
        await house.tick(slug, dt_ms=1000, calls=0)
    line = (await figures(house, slug)).line
    assert (line.missed, line.lapsed, line.no_shows, line.freed) == (0, 1, 1, 1)


async def test_figures_say_what_the_call_log_says(house: House) -> None:
    """Five are called in one tick; one claims, one leaves, three miss their turn, and one of these comes back and misses again."""
    slug = await house.sale(turn_window_s=120, comeback_s=600)
    crowd = [await house.buyer() for _ in range(5)]
    for person in crowd:
        await person.ask("PUT", f"/sales/{slug}/ticket")
    await house.tick(slug)
    await crowd[0].ask("POST", f"/sales/{slug}/pass")
    await crowd[1].ask("DELETE", f"/sales/{slug}/ticket")
    for _ in range(121):
        await house.tick(slug, dt_ms=1000, calls=0)
    await crowd[2].ask("PUT", f"/sales/{slug}/ticket")
    for _ in range(122):
        await house.tick(slug, dt_ms=1000, calls=1)
    rows = await house.services.room.read_calls(house.sale_id(slug), 1_000)
    log = Counter(row.event for row in rows)
    assert log == {"call": 6, "claim": 1, "free": 1, "miss": 3, "return": 1, "lapse": 1}
    seen = await house.services.room.oversee(house.sale_id(slug))
    assert (seen.calls, seen.missed, seen.lapsed, seen.left) == (6, 3, 1, 1)
    line = (await figures(house, slug)).line
    assert (line.turns_ended, line.no_shows) == (6, 5), "claimed and left, and four that nobody used"
    assert (line.called, line.missed, line.shopping, line.lapsed, line.left) == (0, 2, 1, 1, 1)
    assert line.freed == log["call"] - line.shopping


async def test_what_holds_the_calls_back_is_named(house: House) -> None:
    slug, operator = await house.sale(capacity=1), await house.operator()
    for _ in range(2):
        await (await house.buyer()).ask("PUT", f"/sales/{slug}/ticket")
    await house.tick(slug)
    await house.tick(slug)
    seen = await figures(house, slug)
    assert (seen.limit, seen.line.waiting) == ("capacity", 1)
    assert seen.limit_since is not None
    await operator.ask("POST", f"/operator/sales/{slug}/actions/pause")
    await house.tick(slug)
    assert (await figures(house, slug)).limit == "paused"


async def test_a_leader_that_stands_by_is_counted_and_the_lag_is_that_of_the_last_tick(house: House) -> None:
    slug = await house.sale()
    await house.tick(slug)
    room, sale_id = house.services.room, house.sale_id(slug)
    assert not await room.take_lease(sale_id, "host-b:7~secret", 1000)
    seen = await figures(house, slug)
    assert (seen.leader.name, seen.leader.standby) == (None, 1), "a test's leader has no name"
    assert seen.leader.lag_ms is not None
    assert 0 <= seen.leader.lag_ms < 60_000
    await room.release_lease(sale_id, "the-leader")
    assert await room.take_lease(sale_id, "host-b:7~secret", 60_000)
    seen = await figures(house, slug)
    assert (seen.leader.name, seen.leader.standby) == ("host-b:7", 0)
    assert "secret" not in msgspec.json.encode(seen).decode()


async def test_a_loss_is_told_as_long_as_it_is_felt(house: House) -> None:
    slug = await house.sale()
    assert (await figures(house, slug)).recovery is None
    room, sale_id = house.services.room, house.sale_id(slug)
    await asyncio.to_thread(house.services.redis_sync.flushdb)
    assert (await figures(house, slug)).limit == "rebuilding"
    publication = await asyncio.to_thread(read_publication, house.services.db, sale_id)
    await asyncio.to_thread(publish_sale, house.services.redis_sync, publication)
    assert await room.take_lease(sale_id, "a~b", 60_000)
    loss = Loss(copied_ms=0, log_read=False)
    assert await room.confirm_store(sale_id, "a~b", "new-store", 5001, 6000, loss=loss) == "confirmed"
    felt = (await figures(house, slug)).recovery
    assert felt is not None
    assert felt.slots_unknown > 0
    assert felt.quiet_s > 600, "one pass life and 30 s"
    assert felt.settled_at > felt.lost_at

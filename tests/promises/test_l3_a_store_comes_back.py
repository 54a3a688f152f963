"""L3: a store that was restarted or set back learns what came after it, and what nobody knows counts as taken for a while."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from firstcome.servers import PrivateRedis
from tests.promises.one_line import BLOCK, Line, busy, note_orders, shuffled
from tests.promises.one_sale import LEADER, LEASE_MS, live_places, settings_fields, ticket_of
from waiting_room.confirmation import TRIES_TO_READ_LOG
from waiting_room.refusals import RoomUnavailable, TurnLapsed

PASS_S = 900
GRACE_S = 30


async def test_a_restart_from_the_log_file_keeps_every_place_and_state(
    line: Line, redis_server: PrivateRedis
) -> None:
    people = await busy(line)
    before = {name: (await line.look(name)).number for names in people.values() for name in names}
    note_orders(line, before)
    await line.copy_log()
    redis_server.restart()
    with pytest.raises(RoomUnavailable):
        await line.look("buyer0")
    await line.confirm()
    for state, names in people.items():
        assert set(await line.states(*shuffled(names))) == {state}
    assert {name: (await line.look(name)).number for name in before} == before


async def test_a_store_that_is_set_back_learns_from_log_and_tickets_what_came_after(
    line: Line, redis_server: PrivateRedis
) -> None:
    await line.call("flo")  # the store that comes back knows of the turn, not of the claim
    for name in ("ann", "bob", "cleo", "dan", "eve"):
        await line.join(name)
    backup = [(str(key), await raw_dump(redis_server, str(key))) for key in await line.client.keys()]
    await line.tick(rate=4)
    for name in ("bob", "cleo", "dan", "flo"):
        await line.claim(name)
    await line.order("cleo", "order-cleo")
    line.books.note_order("order-cleo", (await line.claim("cleo")).jti, "live")
    await line.room.leave(line.sale_id, ticket_of("dan"))
    late = await line.join("late")
    claim = await line.claim("bob")
    await line.copy_log()
    await line.client.flushall()
    for key, dump in backup:
        await raw_restore(redis_server, key, dump)
    redis_server.restart()
    await line.confirm()

    expected = {"ann": "called", "bob": "admitted", "cleo": "admitted", "dan": "left", "flo": "admitted"}
    expected |= {"eve": "waiting", "late": "waiting"}
    assert await line.states(*expected) == list(expected.values())
    assert (await line.look("late")).number == late.number
    assert await line.claim("bob") == claim
    assert await line.client.zscore(line.keys.ordering, ticket_of("cleo"))
    assert await line.client.hget(line.keys.passes, f"{ticket_of('cleo')}.1") == "order-cleo"
    assert await live_places(line) == 6
    with pytest.raises(TurnLapsed):
        await line.claim("dan")


async def test_what_a_restarted_store_knows_later_than_the_log_stays(
    line: Line, redis_server: PrivateRedis
) -> None:
    await line.call("ann", "bob")
    await line.pass_time(121)
    await line.room.leave(line.sale_id, ticket_of("ann"))  # a missed turn given up is no event of the log
    await line.room.leave(line.sale_id, ticket_of("bob"))
    again = await line.join("bob")
    await line.copy_log()
    redis_server.restart()
    await line.confirm()
    assert await line.state("ann") == "left"
    assert (await line.look("bob")).number == again.number
    assert await line.state("bob") == "waiting"


async def raw_dump(server: PrivateRedis, key: str) -> bytes:
    client: Redis = Redis.from_url(server.url)
    dumped = await client.dump(key)
    await client.aclose()
    assert dumped is not None
    return dumped


async def raw_restore(server: PrivateRedis, key: str, dumped: bytes) -> None:
    client: Redis = Redis.from_url(server.url)
    await client.restore(key, 0, dumped)
    await client.aclose()


# ---------------------------------------------------------------- what nobody knows


async def test_what_the_rate_allowed_since_the_last_copy_counts_as_taken_for_one_pass_life(
    line: Line,
) -> None:
    opened = str(int(settings_fields()["opens_at_ms"]) - 100_000)
    line.books.change_sale(line.sale_id, calls_per_minute="60", capacity="100", opens_at_ms=opened)
    await line.copy_log()
    await copied_ago(line, 40_000)
    for name in (f"buyer{n}" for n in range(100)):
        await line.join(name)
    await line.lose()
    await line.change(calls_per_minute="6000")
    for name in line.tickets:
        await line.look(name)
    called = (await line.tick()).calls
    assert 55 <= called <= 60, "60 a minute for 40 s and a bit may have been called"
    for name in list(line.tickets)[:called]:
        await line.look(name)  # seen, so that the turn lasts
        await line.claim(name)
    assert (await line.pass_time(PASS_S + GRACE_S - 1)).calls == 0
    assert (await line.tick(1_000)).calls >= 40


async def copied_ago(line: Line, ago_ms: int) -> None:
    """The log was copied for the last time so long before it was."""
    copied = await line.books.whole_until(line.sale_id)
    assert copied is not None
    await line.books.note_copied(line.sale_id, copied - ago_ms)


async def away_for(line: Line, server: PrivateRedis, away_ms: int) -> None:
    """The store is restarted on its data; log and last tick are older than they were, as if it had been away so long."""
    await copied_ago(line, away_ms)
    for name in ("wall_ms", "rested_ms"):
        if (at := await line.client.hget(line.keys.room, name)) is not None:
            await line.client.hset(line.keys.room, name, str(int(at) - away_ms))
    server.restart()
    await line.confirm()


async def called_after(line: Line) -> int:
    """How many of a full line are called at once when neither rate nor stock hold them back."""
    await line.change(calls_per_minute="6000")
    return (await line.tick()).calls


@pytest.mark.parametrize(("given_up", "unknown"), [(False, 2), (True, 0)])
async def test_a_store_that_comes_back_with_its_data_misses_two_seconds_at_most_however_long_it_was_away(
    line: Line, redis_server: PrivateRedis, given_up: bool, unknown: int
) -> None:
    opened = str(int(settings_fields()["opens_at_ms"]) - 100_000)
    line.books.change_sale(line.sale_id, calls_per_minute="60", capacity="100", opens_at_ms=opened)
    for name in (f"buyer{n}" for n in range(200)):
        await line.join(name)
    await line.tick(rate=0)
    await line.copy_log()
    if given_up:
        await line.room.release_lease(line.sale_id, LEADER)
    await away_for(line, redis_server, 40_000)
    assert await called_after(line) == 100 - unknown


async def test_a_second_loss_does_not_free_what_the_first_has_left_unknown(
    line: Line, redis_server: PrivateRedis
) -> None:
    opened = str(int(settings_fields()["opens_at_ms"]) - 100_000)
    line.books.change_sale(line.sale_id, calls_per_minute="60", capacity="100", opens_at_ms=opened)
    await line.copy_log()
    await copied_ago(line, 40_000)
    await line.lose()
    for name in (f"buyer{n}" for n in range(200)):
        await line.join(name)
    await line.tick(rate=0)
    await line.copy_log()
    await line.room.release_lease(line.sale_id, LEADER)
    redis_server.restart()
    await line.confirm()
    assert 40 <= await called_after(line) <= 60


async def test_without_its_log_the_line_calls_nobody_for_one_pass_life(line: Line) -> None:
    await line.join("ann")
    await without_log(line)
    await line.look("ann")
    reply = await line.tick()
    assert (reply.calls, reply.limit) == (0, "rebuilding")
    await line.pass_time(PASS_S + GRACE_S - 1, rate=100)
    assert await line.states("ann") == ["waiting"]
    assert (await line.pass_time(1, rate=100)).calls == 1


async def test_an_operators_resume_ends_that_early(line: Line) -> None:
    await line.join("ann")
    await without_log(line)
    await line.look("ann")
    await line.change(control="paused")
    assert (await line.tick()).calls == 0
    await line.change(control="running", capacity="10000")
    assert (await line.tick()).calls == 1


async def without_log(line: Line) -> None:
    await line.copy_log()
    line.books.illegible.add(line.sale_id)
    await line.client.flushall()
    assert await line.room.take_lease(line.sale_id, LEADER, LEASE_MS)
    for _ in range(TRIES_TO_READ_LOG - 1):
        with pytest.raises(OSError, match="cannot be read"):
            await line.confirmation.confirm(BLOCK)
    assert await line.confirmation.confirm(BLOCK)

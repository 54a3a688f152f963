"""L2 and L10 for joins that one script serves: they keep the order in which they came, and each has an answer of its own."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from tests.promises.one_sale import OneSale, settings_fields, ticket_of
from waiting_room.place import Place
from waiting_room.refusals import ChallengeRequired, RoomUnavailable
from waiting_room.room import Room
from waiting_room.together import MOST_TOGETHER


@pytest.fixture
async def sale(redis_async: Redis) -> OneSale:
    return await OneSale(redis_async).begin()


async def joined(sale: OneSale, names: list[str]) -> list[Place | BaseException]:
    """All of them at once, in this order."""
    return await asyncio.gather(
        *(sale.room.join(sale.sale_id, ticket_of(name)) for name in names), return_exceptions=True
    )


async def test_a_crowd_stands_in_the_order_in_which_it_came_and_takes_few_scripts(
    sale: OneSale, redis_async: Redis
) -> None:
    names = [f"buyer{n}" for n in range(5 * MOST_TOGETHER)]
    places = await joined(sale, names)
    found = [place for place in places if isinstance(place, Place) and place.created]
    numbers = [place.number or 0 for place in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(names)))
    assert [place.ahead for place in found] == list(range(len(names)))
    assert len({place.waiting for place in found}) <= 7  # who is served by one script is told the same line
    assert await redis_async.zrange(sale.keys.line, 0, -1) == [ticket_of(name) for name in names]


async def test_a_buyer_who_asks_several_times_at_once_has_one_place(sale: OneSale) -> None:
    places = await joined(sale, ["ann", "bob", "ann", "cay", "ann"])
    found = [place for place in places if isinstance(place, Place)]
    assert [place.created for place in found] == [True, True, False, True, False]
    assert [place.ahead for place in found] == [0, 1, 0, 2, 0]


async def test_what_goes_wrong_with_one_is_the_answer_of_that_one_alone(
    sale: OneSale, redis_async: Redis
) -> None:
    await redis_async.hset(sale.keys.served, ticket_of("bob"), "broken")
    await sale.call("dee")
    ann, bob, cay, dee = await joined(sale, ["ann", "bob", "cay", "dee"])
    assert isinstance(bob, RoomUnavailable)
    assert await redis_async.zscore(sale.keys.line, ticket_of("bob")) is None
    assert isinstance(ann, Place)
    assert isinstance(cay, Place)
    assert isinstance(dee, Place)
    assert (ann.ahead, cay.ahead, cay.number) == (0, 1, (ann.number or 0) + 1)
    assert dee.state == "called"
    await sale.change(challenge=1)
    old, fresh = await joined(sale, ["cay", "eve"])
    assert isinstance(old, Place)
    assert isinstance(fresh, ChallengeRequired)


async def test_where_the_numbers_end_the_first_have_theirs_and_the_rest_none(redis_async: Redis) -> None:
    sale = OneSale(redis_async)
    await sale.change(**settings_fields())
    await sale.stock(allotted=100)
    assert await sale.lead(size=2) == "confirmed"
    places = await joined(sale, ["ann", "bob", "cay", "dee"])
    assert [isinstance(place, Place) for place in places] == [True, True, False, False]
    assert all(isinstance(place, RoomUnavailable) for place in places[2:])
    assert await redis_async.zcard(sale.keys.line) == 2


async def test_who_goes_away_or_finds_no_store_keeps_nobody_else(sale: OneSale, redis_async: Redis) -> None:
    asked = [asyncio.create_task(sale.room.join(sale.sale_id, ticket_of(name))) for name in ("ann", "bob")]
    await asyncio.sleep(0)
    asked[0].cancel()
    assert (await asked[1]).ahead == 0
    assert await redis_async.zscore(sale.keys.line, ticket_of("ann")) is None
    nowhere = Redis(host="127.0.0.1", port=1, decode_responses=True)
    room = Room(nowhere, within_s=0.5)
    crowd = (room.join(sale.sale_id, ticket_of(f"n{n}")) for n in range(3 * MOST_TOGETHER))
    refused = await asyncio.gather(*crowd, return_exceptions=True)
    await nowhere.aclose()
    assert all(isinstance(one, RoomUnavailable) for one in refused)

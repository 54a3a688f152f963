"""What accept.lua promises, on the installed Redis and on the one that comes in a Python package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from firstcome import clients
from firstcome.servers import EmbeddedRedis, PrivateRedis
from shop.orders.entry import EntryLine, OrderEntry, encode_entry
from waiting_room.keys import SaleKeys
from workers.lanes import Accepted, Lanes, OrderDraft, fingerprint
from workers.refusals import (
    HaltedLane,
    KeyReused,
    LaneBusy,
    LaneRecovering,
    LaneUnavailable,
    NotOnSale,
    OverLimit,
    PassUsed,
    Refused,
    SaleClosed,
    SoldOutEarly,
)

SALE = "sale000001"
KEYS = SaleKeys(SALE)


@pytest.fixture(params=["installed", "embedded"])
async def store(
    request: pytest.FixtureRequest, redis_server: PrivateRedis, embedded_server: EmbeddedRedis
) -> AsyncIterator[redis.asyncio.Redis]:
    """An open sale: product `seat` with a limit of 2, `gone` sold out, `away` with every unit held."""
    server = redis_server if request.param == "installed" else embedded_server
    client = clients.redis_async(server.url)
    await client.flushall()
    await client.hset(KEYS.settings, mapping={"version": 1, "control": "running", "hold_ms": 600_000})
    run_id = (await client.info("server"))["run_id"]
    await client.hset(KEYS.room, mapping={"store_id": "abc", "run_id": run_id, "clock_ms": 5_000})
    await client.hset(
        KEYS.stock,
        mapping={
            "version": 1,
            "item:seat": "100:10:10:2",
            "item:gone": "5:0:5:2",
            "item:away": "5:5:0:2",
        },
    )
    await client.set(KEYS.lane_open, run_id)
    yield client
    await client.aclose()


@pytest.fixture
def lanes(store: redis.asyncio.Redis) -> Lanes:
    return Lanes(store, max_age_s=10, max_length=5, slot_grace_s=30)


def draft(number: int = 1, *, quantity: int = 1, product: str = "seat", **changes: Any) -> OrderDraft:
    lines = changes.pop("lines", [EntryLine(product_id=product, quantity=quantity)])
    values = {
        "order_id": f"order{number:017}",
        "sale_id": SALE,
        "account_id": f"account{number}",
        "pass_jti": f"ticket{number}.1",
        "pass_exp_ms": 2_000_000_000_000,
        "lines": lines,
        "address_id": None,
        "fingerprint": fingerprint(lines, None),
    }
    return OrderDraft(**(values | changes))


async def everything(store: redis.asyncio.Redis) -> dict[str, Any]:
    """The whole content of the store, to see that nothing has changed."""
    return {key: await store.dump(key) for key in sorted(await store.keys("*"))}


async def refuses_without_a_trace(
    store: redis.asyncio.Redis, lanes: Lanes, order: OrderDraft, refusal: type[Refused]
) -> Refused:
    before = await everything(store)
    with pytest.raises(refusal) as caught:
        await lanes.accept(order)
    assert await everything(store) == before
    return caught.value


async def test_an_accepted_order_stands_in_the_lane_as_it_was_answered(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    accepted = await lanes.accept(draft(1, quantity=2, address_id="home"))

    [line] = await store.lrange(KEYS.lane, 0, -1)
    assert line.encode() == encode_entry(accepted.entry)
    assert accepted.entry.accepted_no == 1
    assert accepted.entry.lines == [EntryLine(product_id="seat", quantity=2)]
    now_s, _ = await store.time()
    assert abs(accepted.entry.accepted_at_ms - now_s * 1000) < 5_000


async def test_list_order_is_the_order_of_acceptance(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    accepted = [await lanes.accept(draft(number)) for number in (3, 1, 2)]

    waiting = [json.loads(line)["order_id"] for line in await store.lrange(KEYS.lane, 0, -1)]
    assert waiting == [one.entry.order_id for one in accepted]
    assert [one.entry.accepted_no for one in accepted] == [1, 2, 3]


async def test_the_same_request_again_gets_the_same_bytes_and_one_place(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    first = await lanes.accept(draft(1))
    again = await lanes.accept(draft(1))

    assert again == Accepted(first.entry, replayed=True, ring=False)
    assert encode_entry(again.entry) == encode_entry(first.entry)
    assert await store.llen(KEYS.lane) == 1


async def test_twenty_requests_at_once_with_one_key_are_one_order(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    answers = await asyncio.gather(*(lanes.accept(draft(1)) for _ in range(20)))

    assert len({encode_entry(answer.entry) for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert await store.llen(KEYS.lane) == 1


@pytest.mark.parametrize("later", ["halted", "cancelled", "emptied copy", "closed lane"])
async def test_an_order_accepted_before_is_answered_again_whatever_came_after(
    store: redis.asyncio.Redis, lanes: Lanes, later: str
) -> None:
    first = await lanes.accept(draft(1))
    match later:
        case "emptied copy":
            await store.delete(KEYS.settings, KEYS.stock)
        case "closed lane":
            await store.delete(KEYS.lane_open)
        case control:
            await store.hset(KEYS.settings, "control", control)

    assert (await lanes.accept(draft(1))).entry == first.entry


async def test_a_key_reused_for_another_body_is_refused(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    await lanes.accept(draft(1))

    await refuses_without_a_trace(store, lanes, draft(1, quantity=2), KeyReused)


async def test_a_pass_in_a_live_order_buys_nothing_more(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    await lanes.accept(draft(1))

    await refuses_without_a_trace(store, lanes, draft(2, pass_jti="ticket1.1"), PassUsed)


async def test_one_pass_and_twenty_keys_at_once_make_one_order(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    answers = await asyncio.gather(
        *(lanes.accept(draft(number, pass_jti="ticket.1")) for number in range(20)), return_exceptions=True
    )

    assert sum(isinstance(answer, Accepted) for answer in answers) == 1
    assert sum(isinstance(answer, PassUsed) for answer in answers) == 19


async def test_more_than_the_limit_is_refused_and_names_the_product(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    refusal = await refuses_without_a_trace(store, lanes, draft(1, quantity=3), OverLimit)

    assert isinstance(refusal, OverLimit)
    assert refusal.product_id == "seat"


async def test_the_limit_counts_a_product_over_all_lines(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    split = [EntryLine(product_id="seat", quantity=2), EntryLine(product_id="seat", quantity=1)]

    await refuses_without_a_trace(store, lanes, draft(1, lines=split), OverLimit)


async def test_sold_out_is_said_only_when_every_unit_is_sold(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    await refuses_without_a_trace(store, lanes, draft(1, product="gone"), SoldOutEarly)

    held_by_others = await lanes.accept(draft(2, product="away"))
    assert not held_by_others.replayed


async def test_a_product_that_the_sale_lacks_is_refused(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    await refuses_without_a_trace(store, lanes, draft(1, product="unheard-of"), NotOnSale)


@pytest.mark.parametrize(
    "lost", [KEYS.lane_open, KEYS.settings, KEYS.stock, KEYS.room], ids=lambda key: key.rpartition(":")[2]
)
async def test_a_store_that_lost_something_accepts_nothing(
    store: redis.asyncio.Redis, lanes: Lanes, lost: str
) -> None:
    await store.delete(lost)

    await refuses_without_a_trace(store, lanes, draft(1), LaneRecovering)


async def test_a_store_confirmed_for_an_earlier_run_of_the_server_accepts_nothing(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    for mark in ({"run_id": "0" * 40}, {"run_id": await store.get(KEYS.lane_open)}):
        await store.hset(KEYS.room, mapping=mark)
        await refuses_without_a_trace(store, lanes, draft(1), LaneRecovering)
        await store.set(KEYS.lane_open, "0" * 40)


@pytest.mark.parametrize(
    ("control", "refusal"), [("halted", HaltedLane), ("cancelled", SaleClosed), ("draft", SaleClosed)]
)
async def test_a_sale_that_sells_nothing_now_accepts_nothing(
    store: redis.asyncio.Redis, lanes: Lanes, control: str, refusal: type[Refused]
) -> None:
    await store.hset(KEYS.settings, "control", control)

    await refuses_without_a_trace(store, lanes, draft(1), refusal)


@pytest.mark.parametrize("control", ["paused", "draining", "closed"])
async def test_who_was_admitted_may_still_buy_when_nobody_is_called_any_more(
    store: redis.asyncio.Redis, lanes: Lanes, control: str
) -> None:
    await store.hset(KEYS.settings, "control", control)

    assert (await lanes.accept(draft(1))).entry.accepted_no == 1


async def test_a_full_lane_is_busy_and_uses_up_nothing(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    for number in range(1, 6):
        await lanes.accept(draft(number))

    refusal = await refuses_without_a_trace(store, lanes, draft(6), LaneBusy)
    assert isinstance(refusal, LaneBusy)
    assert refusal.retry_after_s > 0

    await store.lpop(KEYS.lane)
    assert (await lanes.accept(draft(6))).entry.accepted_no == 6


async def test_a_lane_whose_oldest_order_waits_too_long_is_busy(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    now_s, _ = await store.time()
    order = draft(1)
    for age_s in (15, 5):  # the limit is 10
        stale = OrderEntry(
            **{field: getattr(order, field) for field in order.__struct_fields__},
            accepted_no=1,
            accepted_at_ms=(now_s - age_s) * 1000,
        )
        await store.delete(KEYS.lane)
        await store.rpush(KEYS.lane, encode_entry(stale))
        if age_s > 10:
            await refuses_without_a_trace(store, lanes, draft(2), LaneBusy)
        else:
            assert not (await lanes.accept(draft(2))).replayed


async def test_the_bell_rings_once_until_somebody_answers(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    assert [(await lanes.accept(draft(number))).ring for number in (1, 2, 3)] == [True, False, False]

    await store.delete(KEYS.lane_bell)
    assert (await lanes.accept(draft(4))).ring


async def test_the_buyers_slot_moves_from_shopping_to_ordering_with_a_backstop(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    await store.zadd(KEYS.shopping, {"ticket1": 9_000, "ticket2": 9_000})

    await lanes.accept(draft(1))

    assert await store.zrange(KEYS.shopping, 0, -1) == ["ticket2"]
    [(ticket, backstop)] = await store.zrange(KEYS.ordering, 0, -1, withscores=True)
    assert (ticket, backstop) == ("ticket1", 5_000 + 600_000 + 30_000)


async def test_a_second_order_after_a_rejection_keeps_the_slot_and_one_without_a_slot_gets_none(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    await store.zadd(KEYS.ordering, {"ticket1": 7_000})
    await store.hset(KEYS.served, mapping={"ticket1": "{}", "ticket2": "{}"})

    await lanes.accept(draft(1))
    await lanes.accept(draft(2))

    assert await store.zrange(KEYS.ordering, 0, -1, withscores=True) == [("ticket1", 635_000)]


async def test_a_pass_from_before_a_loss_takes_a_slot_with_its_order(
    store: redis.asyncio.Redis, lanes: Lanes
) -> None:
    await lanes.accept(draft(1))

    assert await store.zrange(KEYS.ordering, 0, -1) == ["ticket1"]


async def test_the_gateway_finds_what_was_accepted(store: redis.asyncio.Redis, lanes: Lanes) -> None:
    accepted = await lanes.accept(draft(1))

    assert await lanes.peek(SALE, accepted.entry.order_id) == accepted.entry
    assert await lanes.peek(SALE, "order-of-nobody") is None


async def test_a_store_that_does_not_answer_is_named_as_such(tmp_path: Path) -> None:
    nobody = clients.redis_async(f"unix://{tmp_path}/nobody.sock")

    with pytest.raises(LaneUnavailable):
        await Lanes(nobody).accept(draft(1))
    await nobody.aclose()

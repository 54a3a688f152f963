"""L9, its core: a poll costs one Redis command and no database, and so do a join and a claim."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from firstcome import clients
from firstcome.servers import PrivateRedis
from tests.promises.one_sale import OneSale, ticket_of

END = "the end of what is counted"


@pytest.fixture
async def sale(redis_async: Redis) -> OneSale:
    return await OneSale(redis_async).begin()


@contextlib.asynccontextmanager
async def commands_from_outside(server: PrivateRedis) -> AsyncIterator[list[str]]:
    """Fills a list with the names of all commands that clients send, without those that scripts run."""
    seen: list[str] = []
    watcher, marker = clients.redis_async(server.url), clients.redis_async(server.url)
    await marker.ping()
    async with watcher.monitor() as monitor:
        yield seen
        await marker.echo(END)
        while True:
            command = await monitor.next_command()
            if END in command["command"]:
                break
            if command["client_type"] != "lua":
                seen.append(command["command"].split()[0].upper())
    await watcher.aclose()
    await marker.aclose()


async def test_every_poll_is_one_command_whatever_the_state_of_the_ticket(
    sale: OneSale, redis_server: PrivateRedis
) -> None:
    await sale.admit("ann")
    await sale.call("bob")
    await sale.room.join(sale.sale_id, ticket_of("cleo"))
    await sale.room.look(sale.sale_id, ticket_of("cleo"))
    async with commands_from_outside(redis_server) as seen:
        for name in ("ann", "bob", "cleo"):
            await sale.room.look(sale.sale_id, ticket_of(name))
    assert seen == ["EVALSHA"] * 3


async def test_a_join_and_a_claim_are_one_command_each(sale: OneSale, redis_server: PrivateRedis) -> None:
    await sale.admit("ann")
    await sale.call("bob")
    async with commands_from_outside(redis_server) as seen:
        await sale.room.join(sale.sale_id, ticket_of("cleo"))
        await sale.claim("bob")
        await sale.claim("bob")
    assert seen == ["EVALSHA"] * 3


async def test_a_poll_of_a_waiting_ticket_writes_nothing(sale: OneSale) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    before = (await sale.client.info("persistence"))["rdb_changes_since_last_save"]
    for _ in range(10):
        await sale.room.look(sale.sale_id, ticket_of("ann"))
    assert (await sale.client.info("persistence"))["rdb_changes_since_last_save"] == before


async def test_thousands_of_polls_at_once_need_few_connections(sale: OneSale) -> None:
    await sale.room.join(sale.sale_id, ticket_of("ann"))
    polls = [sale.room.look(sale.sale_id, ticket_of("ann")) for _ in range(4_000)]
    places = await asyncio.gather(*polls)
    assert all(place.state == "waiting" for place in places)
    assert (await sale.client.info("clients"))["connected_clients"] < 20

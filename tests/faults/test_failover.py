"""Sentinel fails the store over to a replica that lost the last seconds: real servers, a real Sentinel, the product's own clients."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from firstcome import clients
from firstcome.doctor import Finding, sentinels
from firstcome.private_server import dying_with_parent
from firstcome.servers import PrivateRedis
from tests.promises.one_sale import OneSale, live_places, settings_fields, ticket_of
from tests.promises.paper_books import PaperBooks
from tests.running import eventually, free_ports
from waiting_room.controller import Controller
from waiting_room.place import Place
from waiting_room.refusals import RoomUnavailable
from waiting_room.ticket import Ticket

SERVICE = "mymaster"
STOCK = {"version": "1", "allotted": "1000", "held": "0", "sold": "0"}
CAPACITY = 5
WITHIN_S = 30.0


@dataclass
class Watched:
    """A master, its replica, and the address of the Sentinel that watches both."""

    master: PrivateRedis
    replica: PrivateRedis
    url: str

    def let_replica_fall_behind(self) -> None:
        """What the master is told from here on, the replica will never know."""
        with contextlib.closing(redis.Redis.from_url(self.master.url)) as master:
            master.set("mark", "1")
            assert master.wait(1, 10_000) == 1, "until here it knows everything"
            master.acl_setuser(
                "default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-psync", "-sync"]
            )
            master.client_kill_filter(_type="replica")


@pytest.fixture
def watched(servers_dir: Path) -> Iterator[Watched]:
    with contextlib.ExitStack() as running:
        pair = [
            running.enter_context(PrivateRedis(servers_dir / name, port=free_ports()))
            for name in ("one", "two")
        ]
        master, replica = pair
        with contextlib.closing(clients.redis_sync(replica.url)) as client:
            client.replicaof("127.0.0.1", master.port)
        port = free_ports()
        running.enter_context(running_sentinel(servers_dir / "sentinel", port, master.port))
        url = f"redis+sentinel://127.0.0.1:{port}/{SERVICE}/0"
        eventually(
            lambda: all(not finding.mend for finding in doctors(url)) or None, "a replica is watched", 30
        )
        yield Watched(master, replica, url)


def doctors(url: str) -> list[Finding]:
    """What the doctor finds, but that one Sentinel is not enough."""
    *found, too_few = sentinels("Redis", url)
    assert "three or more" in too_few.mend
    return found


@contextlib.contextmanager
def running_sentinel(folder: Path, port: int, master_port: int) -> Iterator[None]:
    folder.mkdir()
    lines = [
        f"port {port}", "bind 127.0.0.1", f"dir {folder}",
        f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} 1",
        f"sentinel down-after-milliseconds {SERVICE} 2000", f"sentinel failover-timeout {SERVICE} 5000",
    ]  # fmt: skip
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [str(PrivateRedis.find()), str(folder / "sentinel.conf"), "--sentinel"],
        stdout=subprocess.DEVNULL,
        preexec_fn=dying_with_parent(),
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def sale(watched: Watched, tmp_path: Path) -> AsyncIterator[OneSale]:
    """A line of 60 on the watched store, led by a controller: five are called, and one of these is admitted."""
    books = PaperBooks(tmp_path / "books.sqlite", watched.url)
    client = clients.redis_async(watched.url)
    sale = OneSale(client)
    books.open_sale(sale.sale_id, settings_fields(capacity=CAPACITY), STOCK)
    stop = asyncio.Event()
    running = asyncio.create_task(Controller(sale.room, books, token="ours~1").run(stop))
    yield sale
    stop.set()
    await running
    await books.close()
    await client.aclose()


async def patient(step: Callable[[], Awaitable[Place]]) -> Place:
    """Try until the line answers; so does every page."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            with contextlib.suppress(RoomUnavailable):
                return await step()
            await asyncio.sleep(0.05)


async def test_everybody_finds_the_own_place_at_a_replica_that_lost_the_last_seconds(
    watched: Watched, sale: OneSale
) -> None:
    tickets: dict[str, Ticket] = {}

    async def join(name: str) -> Place:
        place = await patient(lambda: sale.room.join(sale.sale_id, ticket_of(name), tickets.get(name)))
        return hold(name, place)

    async def look(name: str) -> Place:
        place = await patient(lambda: sale.room.look(sale.sale_id, ticket_of(name), tickets.get(name)))
        return hold(name, place)

    def hold(name: str, place: Place) -> Place:
        tickets[name] = Ticket(sale.sale_id, ticket_of(name), place.number, place.store_id)
        return place

    names = [f"buyer{n}" for n in range(60)]
    for name in names[:50]:
        await join(name)

    async def state_becomes(name: str, state: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                if (await look(name)).state == state:
                    return
                await asyncio.sleep(0.05)

    for name in names[:CAPACITY]:
        await state_becomes(name, "called")
    claim = await sale.claim("buyer0")
    await log_is_copied(sale)
    watched.let_replica_fall_behind()
    for name in names[50:]:
        await join(name)
    await sale.room.leave(sale.sale_id, ticket_of("buyer1"))
    await state_becomes("buyer5", "called")
    await log_is_copied(sale)
    before = {name: ticket.number for name, ticket in tickets.items()}

    watched.master.kill()
    newcomer = await join("newcomer")
    for name in random.Random(7).sample(names, len(names)):
        assert (await look(name)).number == before[name], name
    assert newcomer.number > max(before.values())
    assert (await look("newcomer")).number == newcomer.number
    states = [(await look(name)).state.value for name in names[:7]]
    assert states == ["admitted", "left", "called", "called", "called", "called", "waiting"]
    assert await sale.claim("buyer0") == claim, "the same pass"
    assert await live_places(sale) == len(names), "one has left, one is new; nobody stands twice"

    await sale.room.leave(sale.sale_id, ticket_of("buyer2"))
    await sale.room.leave(sale.sale_id, ticket_of("buyer3"))
    assert (await look("buyer7")).state in ("waiting", "called")
    queue = Queue("lanes", connection=clients.rq_redis(watched.url), serializer=JSONSerializer)
    queue.enqueue("operator.add", 1, 2)
    assert SimpleWorker([queue], connection=queue.connection, serializer=JSONSerializer).work(burst=True)
    assert queue.count == 0, "RQ follows the Sentinels as well"
    queue.connection.close()
    role = redis.Redis.from_url(watched.replica.url)
    assert role.role()[0] == b"master"
    role.close()


async def log_is_copied(sale: OneSale) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if not await sale.client.xlen(sale.keys.calls):
                return
            await asyncio.sleep(0.05)

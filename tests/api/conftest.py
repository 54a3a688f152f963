"""The real gateway in this process, over real Redis and a real database, and people who speak JSON to it.

What other processes do (admitting, draining) is done here step by step by the same code, so that a test says when it happens.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar

from firstcome import wiring
from firstcome.processes.admit import ShopBooks
from firstcome.settings import Settings
from gateway.app import Gateway, create_app
from gateway.services import Services
from shop.accounts.operators import create_operator
from shop.accounts.signup import create_verified_account
from shop.catalogue.products import create_product
from shop.sales.line import next_block
from shop.sales.publication import read_publication
from tests.conftest import DATABASES, empty
from waiting_room.digests import Digests
from waiting_room.pace import Allowance
from waiting_room.ticking import Beat, TickReply
from workers.drain import drain
from workers.provider_health import ProviderHealth
from workers.publish import publish_sale
from workers.runtime import Runtime

PASSWORD = "a-password-for-tests"
PRICE = 12_000
LEADER = "the-leader"

_numbers = itertools.count(1)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is this problem, complete and told to no cache; its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == f"/schema#problem-{code}"
    assert body["title"]
    assert body["instance"] == answer.request.url.path
    if status in (429, 503):
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    return body


@dataclass
class Person:
    """Somebody with an account and an access token."""

    client: httpx.AsyncClient
    email: str
    account_id: str
    token: str

    async def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A request with the access token; `headers` are added to it."""
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **kwargs)


@dataclass
class Clock:
    """A process's time that passes when a test says so."""

    now_s: float = 100.0


@dataclass
class House:
    """The gateway with everything that a test needs around it."""

    app: Gateway
    client: httpx.AsyncClient
    services: Services
    runtime: Runtime
    products: list[str] = field(default_factory=list)

    async def buyer(self) -> Person:
        """A verified buyer who has signed in."""
        email = f"buyer{next(_numbers)}@example.test"
        create_verified_account(self.services.db, self.services.kit, email, PASSWORD, "Kim Minji")
        return await self._signed_in(email, "/api/v1/sessions")

    async def operator(self, role: str = "operator") -> Person:
        """An operator of a role who has signed in."""
        email = f"operator{next(_numbers)}@example.test"
        create_operator(self.services.db, self.services.kit, email, PASSWORD, "Lee Joon", role)
        return await self._signed_in(email, "/api/v1/operator/sessions")

    async def _signed_in(self, email: str, path: str) -> Person:
        answer = await self.client.post(path, json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        principal = self.services.sessions.read(token, "bearer")
        assert principal is not None
        return Person(self.client, email, principal.subject_id, token)

    def draft(self, **changes: Any) -> dict[str, Any]:
        """The body of a sale that is open now."""
        now = datetime.now(UTC)
        return {
            "slug": f"sale-{next(_numbers)}",
            "title": "A sale",
            "mode": "fifo",
            "lobby_opens_at": (now - timedelta(minutes=1)).isoformat(),
            "opens_at": (now - timedelta(seconds=1)).isoformat(),
            "closes_at": (now + timedelta(hours=1)).isoformat(),
            "calls_per_minute": 60_000,
            "items": [{"product_id": self.products[0], "allotted": 10, "limit_per_buyer": 2}],
        } | changes

    async def sale(self, **changes: Any) -> str:
        """A sale of `draft(**changes)`; its slug."""
        operator = await self.operator()
        answer = await operator.ask("POST", "/operator/sales", json=self.draft(**changes))
        assert answer.status_code == 201, answer.text
        body = answer.json()
        if not changes.get("draft"):
            await self._lead(body["sale_id"])
        return str(body["slug"])

    async def lead_again(self, sale: str) -> None:
        """What publisher and controller do after Redis was lost: lay the copies, confirm the store."""
        await self.publish(sale)
        await self._lead(self.sale_id(sale))

    async def publish(self, sale: str) -> None:
        """A round of the sweeper."""
        publication = await asyncio.to_thread(read_publication, self.services.db, self.sale_id(sale))
        await asyncio.to_thread(publish_sale, self.services.redis_sync, publication)

    async def lane_opens(self, sale: str) -> None:
        """After a loss: receipts are waited for, and the time for them is over."""
        await self.publish(sale)
        await self.services.redis.hset(f"fc:{{{self.sale_id(sale)}}}:lane:recovery", "until_ms", "0")
        await self.publish(sale)

    async def _lead(self, sale_id: str) -> None:
        room = self.services.room
        assert await room.take_lease(sale_id, LEADER, 60_000)
        first, last = next_block(self.services.db, sale_id, 1000)
        assert await room.confirm_store(sale_id, LEADER, secrets.token_hex(8), first, last) == "confirmed"
        await self.services.snapshot.renew()

    async def tick(self, sale: str, *, dt_ms: int = 100, calls: int = 100, hold: str = "") -> TickReply:
        """One step of the admission, which may call so many."""
        beat = Beat(secrets.token_hex(8), dt_ms, 60_000, Allowance(calls, calls, calls, 0.0), hold)
        reply = await self.services.room.tick(self.sale_id(sale), LEADER, beat)
        assert isinstance(reply, TickReply), reply
        return reply

    async def tell_crowd(self, sale: str) -> Clock:
        """The leader writes digests and this process reads them; from here on its view of the lines grows old by the clock given back."""
        clock = Clock()
        self.services.digests = digests = Digests(self.services.room, clock=lambda: clock.now_s)
        for _ in range(2):
            assert await self.services.room.write_digest(self.sale_id(sale), LEADER) == "written"
            await digests.renew([self.sale_id(sale)])
            await asyncio.sleep(0.002)  # digests are told apart by the millisecond
        return clock

    def sale_id(self, sale: str) -> str:
        """The immutable id of a listed sale."""
        return self.services.snapshot.sale(sale).sale_id

    async def called(self, person: Person, sale: str) -> dict[str, Any]:
        """The person joins and is called; the ticket."""
        answer = await person.ask("PUT", f"/sales/{sale}/ticket")
        assert answer.status_code in (200, 201), answer.text
        await self.tick(sale)
        body: dict[str, Any] = (await person.ask("GET", f"/sales/{sale}/ticket")).json()
        assert body["state"] == "called", body
        return body

    async def admitted(self, person: Person, sale: str) -> str:
        """The person joins, is called and claims; the pass."""
        await self.called(person, sale)
        answer = await person.ask("POST", f"/sales/{sale}/pass")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["pass"])

    async def order(self, person: Person, sale: str, quantity: int = 1, **headers: str) -> httpx.Response:
        """The person goes through the line and orders the first product."""
        headers = {
            "Admission-Pass": headers.pop("pass_", None) or await self.admitted(person, sale),
            "Idempotency-Key": headers.pop("key", None) or secrets.token_urlsafe(12),
        }
        lines = [{"product_id": self.products[0], "quantity": quantity}]
        return await person.ask("POST", f"/sales/{sale}/orders", headers=headers, json={"lines": lines})

    async def reserved(self, person: Person, sale: str) -> str:
        """An order that is decided and waits for its payment; its id."""
        accepted = await self.order(person, sale)
        assert accepted.status_code == 202, accepted.text
        await self.decide(sale)
        return str(accepted.json()["order_id"])

    async def decide(self, sale: str) -> None:
        """Drain the sale's lane."""
        await asyncio.to_thread(drain, self.runtime, self.sale_id(sale))


def books_of(house: House, threads: ThreadPoolExecutor) -> ShopBooks:
    """The shop's books as a controller keeps them."""
    services = house.services
    health = ProviderHealth(services.redis_sync, wiring.provider_names(services.settings))
    return ShopBooks(services.db, services.redis_sync, threads, services.vault, health)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """The gateway is tried on one kind of database: what differs between them is tried where the shop is."""
    url: str = request.getfixturevalue(f"{DATABASES[0]}_url")
    empty(url)
    return url


@asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[None]:
    """The application from its start to its end, both in one task, as a server would have it."""
    begun, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            begun.set()
            await stop.wait()

    life = asyncio.create_task(live())
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        stop.set()
        waiting.cancel()
        await life


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """A gateway and two products."""
    app = create_app(settings)
    services: Services = app.state.services
    way = httpx.ASGITransport(app=app)
    async with running(app), httpx.AsyncClient(transport=way, base_url=settings.base_url) as client:
        runtime = wiring.runtime(settings)
        here = House(app, client, services, runtime)
        for name in ("poster", "shirt"):
            product = create_product(
                services.db,
                title=name.title(),
                description=f"A {name}",
                price=PRICE,
                currency="KRW",
                on_hand=1000,
                product_id=f"{name}-{next(_numbers)}",
            )
            here.products.append(product)
        yield here
        runtime.db.dispose()
        runtime.redis.close()
        runtime.rq_redis.close()


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """A gateway and two products, over the servers of all tests."""
    async with open_house(settings) as here:
        yield here

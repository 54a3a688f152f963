"""The stage of a benchmark: private servers, the product's own processes, a sale, and people with sessions.

Redis and MariaDB are those of the tests and the demo, the database with durable commits; `firstcome serve` and the others are
started as the command line starts them. What a benchmark needs beforehand (sessions, a long line) is made by the product's own
functions or laid as the product's scripts would leave it.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import redis

from firstcome import wiring
from firstcome.demo_secrets import kept_secrets
from firstcome.servers import PrivateMariaDB, PrivateRedis
from firstcome.settings import Settings, inherited_environment
from gateway.sessions import Sessions
from load.children import Child
from shop.accounts.rules import Kind
from shop.accounts.sessions import SignedIn
from shop.sales.create import create_sale
from shop.sales.draws import MakeDraw
from shop.sales.line import next_block
from shop.sales.reading import Sale
from shop.sales.rules import ItemDraft, SaleDraft
from shop.storage.database import Database, Tx
from shop.storage.migrate import migrate
from shop.storage.tables import products
from tests.running import free_ports
from waiting_room import ticket as tickets
from waiting_room.keys import SaleKeys

PRODUCT = "bench-seat"
READY_WITHIN_S = 30.0
DATABASE_MIB = 512  # else the third round measures how pages are read again that the second one drove out
SESSION_S = 6 * 3600


class Stage:
    """Servers, settings and processes of one benchmark. `settings` overrides the product's settings."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.redis_server = PrivateRedis(folder / "redis")
        self.database_server = PrivateMariaDB(folder / "mariadb", memory_mib=DATABASE_MIB)
        self._overrides = settings
        self._children: list[Child] = []

    @cached_property
    def settings(self) -> Settings:
        """What every process is started with."""
        port = free_ports()
        given: dict[str, Any] = {
            "demo": True,
            "port": port,
            "data_dir": self.folder,
            "redis_url": self.redis_server.url,
            "database_url": self.database_server.create_database(),
            "mail_sink_dir": self.folder / "mail",
            "mail_from": "bench@example.test",
            "simulator_url": f"http://127.0.0.1:{port + 1}",
            "serve_workers": 1,
            "log_level": "warning",
            **kept_secrets(self.folder),
        }
        return Settings(_env_file=None, **(given | self._overrides))

    def start_servers(self) -> None:
        """Redis and MariaDB, with the schema and one product."""
        self.redis_server.start()
        self.database_server.start()
        migrate(self.settings.database_url)
        self.db.run(_put_on_the_shelf)

    @cached_property
    def db(self) -> Database:
        """The database, as a process of the product sees it."""
        return wiring.database(self.settings)

    @cached_property
    def redis(self) -> redis.Redis:
        """Redis, as a process of the product sees it, but patient."""
        return redis.Redis.from_url(self.settings.redis_url, decode_responses=True, socket_timeout=60)

    @property
    def port(self) -> int:
        """Where `serve` listens."""
        return self.settings.port

    # ------------------------------------------------------------ processes

    def run(self, *verb: str) -> Child:
        """Start a verb of the command line, such as `serve`."""
        child = self.child("firstcome", *verb, environment=self.environment)
        if verb[0] == "serve":
            self._await(f"http://127.0.0.1:{self.port}/health/live", child)
        return child

    @property
    def environment(self) -> dict[str, str]:
        """What the product's processes are started with."""
        return {**inherited_environment(), **self.settings.as_environment()}

    def child(self, *words: str, environment: dict[str, str] | None = None) -> Child:
        """Start a Python module, ended with the stage."""
        name = "-".join(word.replace("/", "_") for word in words[:3])[:60]
        child = Child(*words, environment=environment, log=self.folder / f"{name}.log")
        self._children.append(child)
        return child

    def peer(self, name: str, *words: str) -> int:
        """Start a peer of `load.peers.handlers` behind the same server as the product; the port it answers on."""
        port = free_ports()
        child = self.child("load.peers.handlers", name, str(port), *words, environment=self.environment)
        self._await(f"http://127.0.0.1:{port}/", child)
        return port

    def _await(self, url: str, child: Child) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and child.process.poll() is None:
            try:
                httpx.get(url, timeout=2, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{' '.join(child.words)} does not answer: {child.last_words()}")

    def stop(self) -> None:
        """End every process of this stage."""
        for child in reversed(self._children):
            child.stop()
        self._children.clear()
        for cached in ("db", "redis"):
            if cached in self.__dict__:
                client = self.__dict__.pop(cached)
                client.dispose() if cached == "db" else client.close()
        self.database_server.stop()
        self.redis_server.stop()

    # ------------------------------------------------------------ a sale and its people

    def open_sale(self, *, units: int = 1_000_000, make_draw: MakeDraw | None = None, **changes: Any) -> Sale:
        """An open FIFO sale of one product. By default hardly anybody is called, so that a line stays as it is."""
        now = self.db.read(lambda tx: tx.now)
        draft: dict[str, Any] = {
            "slug": f"bench-{secrets.token_hex(4)}",
            "title": "A sale to measure",
            "lobby_opens_at": now - timedelta(minutes=2),
            "opens_at": now - timedelta(minutes=1),
            "closes_at": now + timedelta(hours=6),
            "items": (ItemDraft(product_id=PRODUCT, allotted=units, limit_per_buyer=2),),
            "calls_per_minute": 60,
            "capacity": 1,
        }
        return create_sale(
            self.db,
            "bench",
            SaleDraft(**(draft | changes)),
            ticket_key_id=self.settings.keyring.active,
            min_turn_window_s=self.settings.turn_floor_s,
            make_draw=make_draw,
        )

    def await_line(self, sale: Sale, phase: str = "open") -> None:
        """Until the sale's line takes joins; needs `serve` and `admit`."""
        url = f"http://127.0.0.1:{self.port}/api/v1/sales/{sale.slug}/line"

        def open_without_hold() -> bool:
            answer = httpx.get(url, timeout=5, trust_env=False)
            line = answer.json() if answer.is_success else {}
            return line.get("phase") == phase and line.get("hold") is None

        await_true(open_without_hold, f"the line of {sale.slug} is {phase}")

    @cached_property
    def sessions(self) -> Sessions:
        """The signer of sessions, with the gateway's own keys."""
        derive = self.settings.keyring.derive
        return Sessions(derive("session"), derive("csrf"))

    def bearer(self, account_id: str, session_id: str = "") -> str:
        """An access token of a verified buyer, as signing in would give it."""
        until = self.db_now + timedelta(seconds=SESSION_S)
        session = session_id or secrets.token_urlsafe(12)
        return self.sessions.issue(SignedIn(account_id, Kind.BUYER, "", True, session, "", until), SESSION_S)

    @cached_property
    def db_now(self) -> Any:
        """The database's time when the stage was set."""
        return self.db.read(lambda tx: tx.now)

    def ticket_id(self, sale: Sale, account_id: str) -> str:
        """The one ticket id that the account can have."""
        key = self.settings.keyring.derive("ticket-id").by_id[sale.ticket_key_id]
        return tickets.ticket_id(key, sale.sale_id, account_id)

    def tokens(self, sale: Sale, people: Mapping[str, int]) -> list[str]:
        """The signed tickets of these places (ticket id -> number) in the present store."""
        keys = tickets.TicketKeys(self.settings.keyring.derive("ticket").by_id)
        store_id = self.store_id(sale)
        held = (
            tickets.Ticket(sale.sale_id, ticket_id, number, store_id) for ticket_id, number in people.items()
        )
        return [tickets.issue(each, sale.ticket_key_id, keys) for each in held]

    def store_id(self, sale: Sale) -> str:
        """The id of the confirmed store."""
        found = self.redis.hget(SaleKeys(sale.sale_id).room, "store_id")
        return str(found)

    def people_in_line(self, sale: Sale, count: int) -> dict[str, int]:
        """Put `count` people into the line as join.lua leaves them, under numbers taken from the database: ticket id -> number."""
        first, _ = next_block(self.db, sale.sale_id, count)
        line = SaleKeys(sale.sale_id).line
        waiting: dict[str, int] = {}
        for at in range(0, count, 5_000):
            chunk = {
                secrets.token_urlsafe(10)[:14]: first + number for number in range(at, min(at + 5_000, count))
            }
            self.redis.zadd(line, chunk)  # type: ignore[arg-type]
            waiting |= chunk
        return waiting


def await_true(
    look: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S, *, look_every_s: float = 0.05
) -> None:
    """Until `look` says yes; RuntimeError with `what` after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not look():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        time.sleep(look_every_s)


@contextmanager
def stage(**settings: Any) -> Iterator[Stage]:
    """A stage with running servers, in a folder of its own that is gone afterwards."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="fc-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        set_up = Stage(folder, **settings)
        stack.callback(set_up.stop)
        set_up.start_servers()
        yield set_up


def _put_on_the_shelf(tx: Tx) -> None:
    row = {
        "product_id": PRODUCT,
        "title": "A seat",
        "description": "",
        "price": 42_000,
        "currency": "KRW",
        "on_hand": 2_000_000_000,
        "created_at": tx.now,
    }
    tx.insert(products, [row])

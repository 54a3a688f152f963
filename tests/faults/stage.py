"""The stage of the faults: servers of its own behind two ways, the whole product on it, and the names of what can be hit.

`firstcome demo` runs every process with the product's own commands and starts dead ones again, as an init system would. Redis (with
its AOF) and MariaDB belong to the stage, which starts them again by itself.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import psutil
import redis
from sqlalchemy import select

from firstcome import clients, demo_data
from firstcome.servers import PrivateMariaDB, PrivateRedis
from firstcome.settings import DEMO_FILE, Settings, load_settings
from shop.storage.database import Database
from shop.storage.tables import sales
from tests.faults.crowd import Lane
from tests.faults.ways import WayProcess
from tests.running import RunningDemo
from workers.doorbell import QUEUE_LANES, QUEUE_OUTBOX

LANE_WORKERS = 3
OUTBOX_WORKERS = 2
# More is called than there are units, so that some orders are rejected by the drain and not only by the line.
OVER_CALL = 1.3


class Stage:
    """Everything that runs. Built by `stage()`, which also takes it down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._tokens: list[str] = []

    def start(self) -> None:
        """Servers, ways, product; in this order."""
        self.redis = self._stack.enter_context(PrivateRedis(self.folder / "redis"))
        self.database = self._stack.enter_context(PrivateMariaDB(self.folder / "mariadb"))
        self.database.create_database()
        self.to_redis = self._stack.enter_context(WayProcess(self.redis.socket))
        self.to_database = self._stack.enter_context(WayProcess(self.database.socket))
        self.demo = RunningDemo(
            self.folder / "demo",
            redis_url=f"redis://127.0.0.1:{self.to_redis.port}/0",
            database_url=f"mysql://root@127.0.0.1:{self.to_database.port}/firstcome",
            lane_workers=str(LANE_WORKERS),
            outbox_workers=str(OUTBOX_WORKERS),
        )
        self._stack.callback(self._stop_demo)
        self.demo.start(120)

    def stop(self) -> None:
        """Take everything down."""
        self._stack.close()

    def _stop_demo(self) -> None:
        self.demo.stop()

    # ------------------------------------------------------------ what the stage itself looks through

    @cached_property
    def settings(self) -> Settings:
        """The product's settings, but straight to the servers: what is checked must not depend on the ways."""
        found = load_settings(self.demo.folder / DEMO_FILE)
        return found.model_copy(
            update={
                "redis_url": self.redis.url,
                "rq_redis_url": self.redis.url,
                "database_url": self.database.url(),
            }
        )

    @cached_property
    def db(self) -> Database:
        """The database, for looking."""
        database = Database(self.settings.database_url)
        self._stack.callback(database.dispose)
        return database

    @cached_property
    def store(self) -> redis.Redis:
        """Redis, for looking and for taking things away."""
        client = clients.redis_sync(self.settings.redis_url)
        self._stack.callback(client.close)
        return client

    @property
    def provider_books(self) -> Path:
        """The file in which the payment stand-in keeps what it has done."""
        return self.demo.folder / "simulator.sqlite"

    # ------------------------------------------------------------ a scene

    def tokens(self, count: int) -> list[str]:
        """Access tokens of so many buyers; always the same people."""
        if len(self._tokens) < count:
            made = demo_data.tokens(self.settings, count)
            self._tokens = [str(json.loads(line)["access_token"]) for line in made]
        return self._tokens[:count]

    def open_lanes(self, count: int, units: int) -> list[Lane]:
        """So many sales, each of so many units."""

        def opened(_number: int) -> tuple[str, str]:
            return self.demo.open_sale(units, calls_per_minute=6000, capacity=1000, over_call_limit=OVER_CALL)

        with ThreadPoolExecutor(count) as threads:
            made = list(threads.map(opened, range(count)))
        wanted = select(sales.c.slug, sales.c.sale_id).where(sales.c.slug.in_([slug for slug, _ in made]))
        ids = {row.slug: row.sale_id for row in self.db.read(lambda tx: tx.all(wanted))}
        return [Lane(ids[slug], slug, product) for slug, product in made]

    def close_lanes(self, lanes: Sequence[Lane]) -> None:
        """End these sales, so that the next scene has the controllers for itself."""
        with self.demo.operator() as operator:
            for lane in lanes:
                operator.post(f"/api/v1/operator/sales/{lane.slug}/actions/close").raise_for_status()

    # ------------------------------------------------------------ what can be hit

    @property
    def gateways(self) -> list[psutil.Process]:
        """The gateway's worker processes."""
        return [one for one in self.demo.processes("firstcome serve") if not one.children()]

    @property
    def controllers(self) -> list[psutil.Process]:
        return self.demo.processes("firstcome admit")

    @property
    def workers(self) -> list[psutil.Process]:
        """The workers on the lanes: not their supervisor, not their work-horses."""
        return self._workers_on(QUEUE_LANES)

    @property
    def work_horses(self) -> list[psutil.Process]:
        """Those that decide orders just now; mostly there is none, and none for long."""
        return _alive_below(self.workers)

    @property
    def outbox_workers(self) -> list[psutil.Process]:
        """The workers on the outbox, as `workers`."""
        return self._workers_on(QUEUE_OUTBOX)

    @property
    def asking(self) -> list[psutil.Process]:
        """The outbox's work-horses that have a connection to the payment provider just now."""
        port = self.demo.port + 1
        return [
            horse
            for horse in _alive_below(self.outbox_workers)
            if any(there.raddr and there.raddr.port == port for there in horse.net_connections())
        ]

    def _workers_on(self, queue: str) -> list[psutil.Process]:
        everybody = self.demo.processes("firstcome work", f"--queue {queue}")
        pids = {one.pid for one in everybody}
        return [worker for one in everybody if one.ppid() not in pids for worker in one.children()]

    @property
    def sweepers(self) -> list[psutil.Process]:
        return self.demo.processes("firstcome sweep")

    @property
    def simulators(self) -> list[psutil.Process]:
        """The payment stand-in: the process that answers."""
        return [one for one in self.demo.processes("firstcome simulator") if not one.children()]


def _alive_below(workers: Iterable[psutil.Process]) -> list[psutil.Process]:
    horses = [horse for worker in workers for horse in worker.children()]
    return [horse for horse in horses if horse.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def stage(folder: Path | None = None) -> Iterator[Stage]:
    """A running stage, in a folder of its own that is gone afterwards."""
    with ExitStack() as stack:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="fc-chaos-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        set_up = Stage(folder)
        stack.callback(set_up.stop)
        set_up.start()
        yield set_up

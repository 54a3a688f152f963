"""Private servers for the tests: every pytest process starts its own, in a folder of its own, and takes them along at its end.

`DATABASE_URL` (as in `make test DATABASE_URL=…`) runs the database tests on that server instead, in databases of our own making.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio
from hypothesis import settings as examples
from sqlalchemy import create_engine, text

from firstcome import clients
from firstcome.servers import EmbeddedRedis, PrivateMariaDB, PrivateRedis, ServerFault, create_database
from firstcome.settings import Settings
from shop.storage.database import Database
from shop.storage.engine import normal_url
from shop.storage.migrate import migrate
from shop.storage.tables import metadata
from tests.running import RunningDemo

GIVEN_DATABASE = os.environ.get("DATABASE_URL", "")
DATABASES = ["given"] if GIVEN_DATABASE else ["mariadb", "sqlite"]

# Properties are tried on the same examples every time, however long one takes, so that a run says something about the code and not
# about the day.
# `--hypothesis-profile=searching` looks for new ones, and more of them; `make model` does.
examples.register_profile("steady", derandomize=True, deadline=None)
examples.register_profile("searching", max_examples=1_000, deadline=None)
examples.load_profile("steady")

# Settings of the machine on which the tests happen to run must not reach them.
for name in [name for name in os.environ if name.upper().startswith("FIRSTCOME_")]:
    del os.environ[name]


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A folder with a short name: a socket's path has room for 107 bytes only, and pytest's own folders are long."""
    folder = Path(tempfile.mkdtemp(prefix="fc-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server(servers_dir: Path) -> Iterator[PrivateRedis]:
    """A private Redis; `.url`, and for fault tests `.restart()` and `.kill()`."""
    kind = PrivateRedis if PrivateRedis.find() else EmbeddedRedis
    try:
        server = kind(servers_dir / "redis").start()
    except ServerFault as fault:
        pytest.fail(f"These tests need a Redis server: {fault}", pytrace=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb_server(servers_dir: Path) -> Iterator[PrivateMariaDB]:
    """A private MariaDB; `.create_database(name)` gives a URL."""
    try:
        server = PrivateMariaDB(servers_dir / "mariadb", durable=False).start()
    except ServerFault as fault:
        pytest.fail(f"These tests need a MariaDB or MySQL server: {fault}", pytrace=False)
    yield server
    server.stop()


@pytest.fixture
async def redis_async(redis_server: PrivateRedis) -> AsyncIterator[redis.asyncio.Redis]:
    """An empty Redis for coroutines, as the product's processes use it: text replies, no hidden retries."""
    client = clients.redis_async(redis_server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def redis_sync(redis_server: PrivateRedis) -> Iterator[redis.Redis]:
    """An empty Redis for plain functions; text replies, no hidden retries."""
    client = clients.redis_sync(redis_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def rq_redis(redis_server: PrivateRedis) -> Iterator[redis.Redis]:
    """A client for RQ, which needs replies as bytes. Does not empty the store."""
    client = clients.rq_redis(redis_server.url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: PrivateMariaDB) -> str:
    """The migrated schema on the private MariaDB, made once."""
    url = mariadb_server.create_database("firstcome_test")
    migrate(url)
    return url


@pytest.fixture(scope="session")
def given_url(worker_id: str) -> Iterator[str]:
    """The migrated schema on the server of DATABASE_URL, in a database of this process alone."""
    url = normal_url(GIVEN_DATABASE).set(database=f"firstcome_test_{worker_id}_{os.getpid()}")
    shown = url.render_as_string(hide_password=False)
    create_database(shown)
    migrate(shown)
    yield shown
    with create_engine(url).begin() as connection:
        connection.execute(text(f"DROP DATABASE `{url.database}`"))


@pytest.fixture(scope="session")
def sqlite_template(servers_dir: Path) -> Path:
    """A migrated SQLite file, to be copied."""
    path = servers_dir / "template.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the present schema and no rows; each test runs once per kind of server."""
    if request.param == "sqlite":
        path = tmp_path / "firstcome.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue(f"{request.param}_url")
    empty(url)
    return url


@pytest.fixture
def settings(
    redis_server: PrivateRedis, redis_sync: redis.Redis, database_url: str, tmp_path: Path
) -> Settings:
    """Settings of a demo on the empty servers of this test, with the cheapest password hash there is."""
    return Settings(
        demo=True,
        data_dir=tmp_path,
        redis_url=redis_server.url,
        database_url=database_url,
        secret_keys="test:" + base64.urlsafe_b64encode(bytes(range(32))).decode(),
        mail_sink_dir=tmp_path / "mail",
        mail_from="firstcome@example.test",
        simulator_url="http://127.0.0.1:9",
        simulator_api_key="a-key-for-the-tests-only-0123456789",
        simulator_webhook_secrets="whsec_" + base64.b64encode(bytes(range(100, 132))).decode(),
        argon2_memory_kib=8,
        argon2_time_cost=1,
    )


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """A Database on `database_url`."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def running_demo(servers_dir: Path) -> Iterator[RunningDemo]:
    """The whole product, running; shared by the tests of one pytest process."""
    running = RunningDemo(servers_dir / "demo")
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def demo(running_demo: RunningDemo) -> Iterator[RunningDemo]:
    """The whole product, running, for a test with buyers or sales of its own, which are over with it."""
    yield running_demo
    running_demo.put_sales_away()


def empty(url: str) -> None:
    """Delete every row of every table."""
    engine = create_engine(normal_url(url))
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    engine.dispose()

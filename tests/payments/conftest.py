"""One stand-in and one shop for callbacks, shared by the tests of a run."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from firstcome import wiring
from firstcome.servers import PrivateRedis
from firstcome.settings import Settings
from shop.payments.providers import Opened
from shop.payments.providers.simulator import SimulatorProvider
from shop.storage.database import Database
from tests.conftest import DATABASES, empty
from tests.payments.gateways import Gateway
from tests.payments.simulator_process import Shop, Simulator, press
from tests.payments.trial import Trial
from tests.till import API_KEY, SECRET, Till, provider_at
from workers.provider_health import Counted
from workers.runtime import Runtime

NEW_SECRET = "whsec_" + base64.b64encode(bytes(range(50, 82))).decode()


@pytest.fixture(scope="session")
def callback_shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory, callback_shop: Shop) -> Iterator[Simulator]:
    folder: Path = tmp_path_factory.mktemp("simulator")
    running = Simulator(folder, callback_shop.url).start()
    yield running
    running.kill()


@pytest.fixture
def shop(callback_shop: Shop) -> Iterator[Shop]:
    """The shop for callbacks, taking everything unless the test says otherwise."""
    callback_shop.taken.clear()
    yield callback_shop
    callback_shop.answer = lambda _taken: 200


@pytest.fixture
def provider(simulator: Simulator) -> Iterator[SimulatorProvider]:
    adapter = provider_at(simulator.url)
    yield adapter
    adapter.close()


@pytest.fixture(scope="session")
def stand_in(simulator: Simulator, callback_shop: Shop) -> Iterator[Trial]:
    """The adapter of the stand-in and its process, to be tried as any adapter is."""
    adapter = provider_at(simulator.url)

    def choose(opened: Opened, outcome: str) -> None:
        press(opened.checkout_url, outcome)

    def callback(payment_id: str) -> tuple[Mapping[str, str], bytes]:
        (taken, *_) = callback_shop.wait_for(payment_id, 1)
        return taken.headers, taken.body

    yield Trial(adapter, choose, callback)
    adapter.close()


@pytest.fixture(scope="package")  # not longer: what runs here speaks to the stores of all tests
def shop_settings(
    redis_server: PrivateRedis, simulator: Simulator, request: pytest.FixtureRequest, servers_dir: Path
) -> Settings:
    """Settings of the gateways, workers and sweepers of these tests; two webhook secrets are good at a time."""
    return Settings(
        demo=True,
        data_dir=servers_dir,
        redis_url=redis_server.url,
        database_url=request.getfixturevalue(f"{DATABASES[0]}_url"),
        secret_keys="test:" + base64.urlsafe_b64encode(bytes(range(32))).decode(),
        mail_sink_dir=servers_dir / "mail",
        mail_from="firstcome@example.test",
        simulator_url=simulator.url,
        simulator_api_key=API_KEY,
        simulator_webhook_secrets=(NEW_SECRET, SECRET),
        argon2_memory_kib=8,
        argon2_time_cost=1,
        log_level="warning",
    )


@pytest.fixture(scope="package")
def gateways(shop_settings: Settings, servers_dir: Path) -> Iterator[tuple[Gateway, Gateway]]:
    """Two running gateways; whoever kills one starts it again."""
    pair = Gateway(shop_settings, servers_dir / "one.log"), Gateway(shop_settings, servers_dir / "two.log")
    try:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(Gateway.start, pair))
        yield pair
    finally:
        for gateway in pair:
            gateway.kill()
            gateway.client.close()


@pytest.fixture
def counter(shop_settings: Settings, gateways: tuple[Gateway, Gateway]) -> Iterator[Till]:
    """The shop behind the gateways, with one sale and nothing else in its books."""
    empty(shop_settings.database_url)
    db = Database(shop_settings.database_url)
    yield Till(db).open()
    db.dispose()


@pytest.fixture
def work(shop_settings: Settings, counter: Till) -> Iterator[Runtime]:
    """What the worker of the outbox and the sweeper work with."""
    made = wiring.runtime(shop_settings)
    yield made
    made.db.dispose()
    made.redis.close()
    made.rq_redis.close()
    for provider in made.providers.values():
        assert isinstance(provider, Counted)
        provider.close()

"""One stand-in and one shop for callbacks, shared by the tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shop.payments.providers.simulator import SimulatorProvider
from tests.payments.simulator_process import Shop, Simulator
from tests.till import provider_at


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

"""`firstcome simulator`: the payment stand-in as a process of its own, on the port that its URL names."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from firstcome.ports import refuse_taken_port
from firstcome.processes.serving import serve_app
from firstcome.settings import Settings, SettingsFault, variable
from gateway.simulator.app import create_simulator
from gateway.simulator.config import SimulatorConfig

CALLBACK_PATH = "/api/v1/payments/callbacks/simulator"
DATABASE = "simulator.sqlite"


def run(settings: Settings) -> None:
    """Serve the stand-in until SIGTERM or SIGINT. Raises PortTaken and SettingsFault."""
    port = urlsplit(settings.simulator_url).port
    if port is None:
        name = variable("simulator_url")
        raise SettingsFault(
            [f"{name} names no port to listen on. Expected: for example http://127.0.0.1:8001."]
        )
    refuse_taken_port(settings.host, port)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    config = SimulatorConfig(
        database=settings.data_dir / DATABASE,
        public_url=settings.simulator_url,
        callback_url=settings.base_url + CALLBACK_PATH,
        api_key=settings.simulator_api_key,
        webhook_secrets=settings.simulator_webhook_secrets,
    )
    serve_app(partial(_create, config), settings.host, port, workers=1)


def _create(config: SimulatorConfig) -> Any:
    return create_simulator(config)

"""The payment stand-in as an app: wiring, the machine API and the pay page.

API (JSON, `Authorization: Bearer <api key>`, `Idempotency-Key` on every POST): POST /v1/payments · GET /v1/payments/{id} ·
POST /v1/payments/{id}/cancel · POST /v1/payments/{id}/refunds; `/v1/references/{reference}` reaches a payment by the shop's
own id. Pay page: GET and POST /pay/{token}. GET /health.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from litestar import Litestar, get
from litestar.enums import MediaType
from litestar.static_files import create_static_files_router

from gateway.simulator.api import api_routes, refuse
from gateway.simulator.config import SimulatorConfig
from gateway.simulator.courier import Courier
from gateway.simulator.page import STATIC, pay_routes
from gateway.simulator.store import Store

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16_384


@get("/health", media_type=MediaType.TEXT, sync_to_thread=False)
def health() -> str:
    """A sign of life."""
    return "ok"


def _say_if_it_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("callbacks are no longer delivered", exc_info=error)


def create_simulator(config: SimulatorConfig) -> Litestar:
    """The app. It must run in one process only: the courier's list of what is under way is its own."""

    @contextlib.asynccontextmanager
    async def living(app: Litestar) -> AsyncIterator[None]:
        store = Store(config.database, slow_s=config.slow_s, late_s=config.late_s)
        courier = Courier(store, config)
        app.state.update({"config": config, "store": store, "courier": courier})
        delivering = asyncio.create_task(courier.run(), name="courier")
        delivering.add_done_callback(_say_if_it_failed)
        try:
            yield
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            store.close()

    return Litestar(
        route_handlers=[
            health,
            *api_routes(),
            *pay_routes(),
            create_static_files_router("/static", [STATIC], include_in_schema=False),
        ],
        lifespan=[living],
        exception_handlers={Exception: refuse},
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )

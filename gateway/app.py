"""The gateway's composition root: connections, keys, routes, and what begins and ends with the process.

The only module of the gateway that is wired to the command line's package; everything below it gets `Services`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide

from firstcome import clients, wiring
from firstcome.settings import Settings
from gateway import health, problem_answers
from gateway.announcing import Burst
from gateway.api import accounts, cart, gate, keys, line, me, orders, payments, products, sales, ticket
from gateway.api import draws as api_draws
from gateway.api import fairness as api_fairness
from gateway.api.operator import cases, desk, rehearsal, stock, troubles
from gateway.api.operator import orders as operator_orders
from gateway.api.operator import sales as operator_sales
from gateway.bells import Bells
from gateway.bounded import AttemptLimiter, BoundedPool, JoinLimiter, LetterLimiter, PollLimiter
from gateway.csrf import guard_changes
from gateway.documenting import openapi
from gateway.draws import Draws
from gateway.fairness import Reports
from gateway.figures import encoded_figures
from gateway.gauges import gauges_of
from gateway.metrics import Metrics
from gateway.networks import Networks
from gateway.pages.routes import page_routes, problem_page
from gateway.reading import LARGEST_BODY, JsonBody, PatientRequest
from gateway.rehearsing import Rehearsals
from gateway.security import Layer
from gateway.services import Services
from gateway.sessions import Sessions
from gateway.snapshot import Snapshot
from gateway.watching import Watch
from shop.accounts.sessions import live_sessions
from shop.orders.receipt import ReceiptKeys
from shop.storage.database import LOCK_WAIT_S
from waiting_room.challenge import Challenges
from waiting_room.codes import Codes
from waiting_room.digests import Digests
from waiting_room.passes import PassReader, PassSigner, jwks
from waiting_room.polling import PollLimits
from waiting_room.room import Room
from waiting_room.ticket import TicketKeys, TicketReader
from workers.doorbell import Doorbell
from workers.lane_reader import LaneReader
from workers.lanes import Lanes

log = structlog.get_logger(__name__)

# The room sends its questions together over a few; the others are for orders, which may arrive all at once.
REDIS_CONNECTIONS = 512
LAY_DOWN_METRICS_EVERY_S = 1.0
# People wait for it; just above the time that a statement may wait for a row's lock.
DATABASE_ANSWERS_WITHIN_S = LOCK_WAIT_S + 1
# More calls than the database has connections wait a little for one; far more than that are refused at once.
WAITING_PER_CONNECTION = 20
PAYMENT_THREADS, PAYMENT_QUEUE = 8, 64
# Ten thousand sign-ins at once take minutes: who is put off is told so, and does not ask every few seconds.
LOGIN_COMEBACK_S = 60.0


def create_app(settings: Settings) -> Gateway:
    """The whole gateway as one ASGI application. Connects with the first request; raises nothing that a store could cause."""
    services = build_services(settings)
    app = Gateway(
        route_handlers=[*_api(), *health.HANDLERS, *keys.HANDLERS, *page_routes(demo_mode=settings.demo)],
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        guards=[guard_changes],
        exception_handlers=problem_answers.handlers(),
        openapi_config=openapi(version("firstcome")),
        request_class=PatientRequest,
        request_max_body_size=LARGEST_BODY,
        state=State({"services": services, "render_problem": problem_page}),
        lifespan=[_lifespan],
        logging_config=None,
    )
    crowd = {
        asked: partial(answerer, services)
        for asked, answerer in (line.CROWD | ticket.CROWD | orders.CROWD).items()
    }
    onward = [settings.simulator_url, *settings.gate_sites]
    callback = partial(payments.answer_callback, services)
    app.layer = Layer(super(Gateway, app).__call__, settings, services.metrics, onward, crowd, callback)
    return app


class Gateway(Litestar):
    """The application inside its outer layer, which answers a crowd before anything of the framework is asked."""

    layer: Layer

    def __call__(self, scope: Any, receive: Any, send: Any) -> Coroutine[Any, Any, None]:
        """As ASGI has it."""
        return self.layer(scope, receive, send)


def _api() -> list[Router]:
    rooms = [accounts, me, products, cart, sales, api_draws, api_fairness, line, ticket, orders, payments]
    public = [handler for room in rooms for handler in room.HANDLERS]
    desks = [
        *desk.HANDLERS,
        *cases.HANDLERS,
        *troubles.HANDLERS,
        *operator_sales.HANDLERS,
        *stock.HANDLERS,
        *rehearsal.HANDLERS,
        *operator_orders.HANDLERS,
        *api_fairness.OPERATOR,
    ]
    return [
        Router("/api/v1", route_handlers=public, dto=JsonBody, return_dto=None),
        Router("/gate", route_handlers=gate.HANDLERS, dto=JsonBody, return_dto=None),
        Router("/api/v1/operator", route_handlers=desks, dto=JsonBody, return_dto=None),
    ]


def build_services(settings: Settings) -> Services:
    """Everything that requests need; connections open with their first use."""
    derive = settings.keyring.derive
    passes, tickets, challenges = derive("pass"), derive("ticket"), derive("challenge")
    redis = clients.redis_async(settings.redis_url, connections=REDIS_CONNECTIONS)
    redis_sync = clients.redis_sync(settings.redis_url)
    rq_redis = clients.rq_redis(settings.rq_redis_url, reply_within_s=clients.REPLY_WITHIN_S)
    db = wiring.database(settings, answer_s=DATABASE_ANSWERS_WITHIN_S)
    limits = PollLimits(floor_ms=settings.poll_floor_ms, ceiling_ms=settings.poll_ceiling_ms)
    room = Room(redis, unseen_ms=round(settings.unseen_s * 1000), polls=limits)
    kit = wiring.account_kit(settings)
    receipts = derive("receipt")
    draws = Draws(kit.vault)
    bells = Bells(Doorbell(rq_redis))
    services = Services(
        settings=settings,
        db=db,
        redis=redis,
        redis_sync=redis_sync,
        rq_redis=rq_redis,
        room=room,
        digests=Digests(room, polls=limits),
        lanes=Lanes(
            redis,
            max_age_s=settings.lane_max_age_s,
            max_length=settings.lane_max_length,
            slot_grace_s=settings.slot_grace_s,
        ),
        lane_reader=LaneReader(redis_sync),
        bells=bells,
        burst=Burst(redis_sync, db, bells),
        vault=kit.vault,
        kit=kit,
        sessions=Sessions(derive("session"), derive("csrf")),
        ticket_keys=TicketKeys(tickets.by_id),
        ticket_reader=TicketReader(TicketKeys(tickets.by_id)),
        ticket_id_keys=derive("ticket-id"),
        order_id_keys=derive("order-id"),
        receipt_keys=ReceiptKeys(receipts.active, receipts.by_id),
        idempotency_keys=derive("idempotency"),
        pass_signer=PassSigner(passes.active, passes.by_id),
        pass_reader=PassReader(passes.by_id),
        jwks=msgspec.json.encode(jwks(passes.by_id)),
        codes=Codes(redis),
        snapshot=Snapshot(db, room, limits, draws),
        draws=draws,
        reports=Reports(),
        watch=Watch(
            lambda sale: encoded_figures(services, sale),
            lambda ids: services.threads(services.db.read, live_sessions, ids),
        ),
        rehearsals=Rehearsals(),
        polls=PollLimiter(),
        joins=JoinLimiter(),
        networks=Networks(derive("network")),
        challenges=Challenges(challenges.active, challenges.by_id),
        attempts=AttemptLimiter(),
        letters=LetterLimiter(),
        metrics=Metrics(settings.data_dir / "metrics"),
        providers=wiring.providers(settings, redis_sync),
        blocking=BoundedPool(
            settings.pool_size + 3, settings.pool_size * WAITING_PER_CONNECTION, name="blocking"
        ),
        hashing=BoundedPool(
            settings.login_threads, settings.login_queue, name="hashing", comeback_s=LOGIN_COMEBACK_S
        ),
        payments=BoundedPool(PAYMENT_THREADS, PAYMENT_QUEUE, name="payments"),
    )
    services.metrics.gauges = lambda: gauges_of(services)
    return services


@asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    services: Services = app.state.services
    asyncio.get_running_loop().set_default_executor(services.blocking)
    services.watch.close_when_told()
    await services.snapshot.renew()
    tasks = [
        asyncio.create_task(services.snapshot.run()),
        asyncio.create_task(services.digests.run(services.snapshot.going_on)),
        asyncio.create_task(_lay_down_metrics(services.metrics)),
    ]
    try:
        yield
    finally:
        services.watch.close()
        services.rehearsals.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _close(services)


async def _lay_down_metrics(metrics: Metrics) -> None:
    """Let the other processes of this machine see what this one counts."""
    loop, waits = asyncio.get_running_loop(), LAY_DOWN_METRICS_EVERY_S
    while True:
        try:
            await loop.run_in_executor(metrics.thread, metrics.lay_down)
            waits = LAY_DOWN_METRICS_EVERY_S
        except OSError as error:
            waits = min(60.0, waits * 2)
            log.warning("metrics_not_laid_down", error=str(error), again_in_s=math.ceil(waits))
        await asyncio.sleep(waits)


async def _close(services: Services) -> None:
    """Let go of everything. What was accepted is kept by the stores."""
    services.hashing.shutdown(wait=False, cancel_futures=True)
    services.payments.shutdown(wait=False, cancel_futures=True)
    services.burst.close()
    services.bells.close()
    services.snapshot.close()
    services.metrics.take_away()
    for provider in services.providers.values():
        with suppress(AttributeError):
            provider.close()  # type: ignore[attr-defined]
    await services.redis.aclose()
    services.redis_sync.close()
    services.rq_redis.close()
    services.db.dispose()

"""The live figures of a sale for its operators, put together from the line, the database and the workers. Knows no HTTP."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from redis.exceptions import RedisError

from gateway.bodies.operator import (
    FiguresBody,
    LaneFigures,
    LeaderBody,
    LineFigures,
    MinuteBody,
    ProviderFigures,
    RecoveryBody,
    WorkFigures,
)
from gateway.fairness import waits_body
from gateway.operating import items_of
from gateway.views import moment, phase_of
from shop.payments.health import failing
from shop.sales import reading
from shop.sales.figures import Figures
from shop.sales.figures import figures as read_figures
from waiting_room.line_state import LineState
from waiting_room.oversight import Oversight
from workers.liveness import Liveness, liveness
from workers.provider_health import lately

if TYPE_CHECKING:
    from gateway.services import Services


async def figures(services: Services, sale: str) -> FiguresBody:
    """Everything to watch while a sale runs. Raises UnknownSale, Unavailable or RoomUnavailable."""
    known, alive, providers = await services.threads(_known, services, sale)
    sale_id = known.sale.sale_id
    states, seen = await asyncio.gather(services.room.lines([sale_id]), services.room.oversee(sale_id))
    return _body(known, states.get(sale_id), seen, alive, providers)


async def encoded_figures(services: Services, sale: str) -> bytes:
    """As `figures`, as JSON."""
    return msgspec.json.encode(await figures(services, sale))


def _known(services: Services, slug: str) -> tuple[Figures, Liveness | None, list[ProviderFigures]]:
    known = read_figures(services.db, reading.read_sale(services.db, slug).sale_id)
    alive = liveness(services.redis_sync, services.rq_redis, known.sale.sale_id)
    return known, alive, _providers(services)


def _providers(services: Services) -> list[ProviderFigures]:
    """How the providers answer; nothing while Redis does not."""
    try:
        heard = [(name, lately(services.redis_sync, name)) for name in services.providers]
    except RedisError:
        return []
    return [
        ProviderFigures(name=name, calls=calls.made, failed=calls.failed, down=failing(calls))
        for name, calls in heard
    ]


def _body(
    known: Figures,
    state: LineState | None,
    seen: Oversight,
    alive: Liveness | None,
    providers: list[ProviderFigures],
) -> FiguresBody:
    sale = known.sale
    limit, since = _limit(state)
    return FiguresBody(
        sale=sale.slug,
        title=sale.title,
        phase=phase_of(sale, state, known.as_of),
        control=sale.control,
        leading=state is not None and state.leader,
        calls_per_minute=sale.calls_per_minute,
        capacity=sale.capacity,
        limit=limit,
        limit_since=since,
        line=_line(state, seen),
        leader=_leader(seen),
        lane=LaneFigures(length=seen.lane_depth, oldest_ms=seen.lane_age_ms),
        lane_length=seen.lane_depth,
        stock=items_of(sale),
        orders={str(order_state): count for order_state, count in sorted(known.orders.items())},
        calls=[MinuteBody(at=at, calls=calls) for at, calls in known.calls],
        waits=waits_body(known.waits),
        providers=providers,
        version=sale.version,
        as_of=known.as_of,
        work=None
        if alive is None
        else WorkFigures(lanes=alive.lanes, outbox=alive.outbox, swept_ms=alive.swept_ms),
        recovery=_recovery(seen),
    )


def _limit(state: LineState | None) -> tuple[str, datetime | None]:
    """What keeps more people from being called: the gate where it is shut, else what the last tick came up against."""
    if state is None or not state.confirmed:
        return "rebuilding", None
    if state.gate and state.gate != "open":
        return state.gate, moment(state.gate_since_ms) if state.gate_since_ms else None
    return state.limit, moment(state.limit_since_ms) if state.limit_since_ms else None


def _line(state: LineState | None, seen: Oversight) -> LineFigures:
    return LineFigures(
        waiting=state.waiting if state else 0,
        called=state.called if state else 0,
        missed=state.missed if state else 0,
        shopping=state.shopping if state else 0,
        ordering=state.ordering if state else 0,
        now_serving=state.now_serving if state else 0,
        calls_last_minute=state.calls_last_minute if state else 0,
        turns_ended=state.turns_ended if state else 0,
        no_shows=state.no_shows if state else 0,
        lapsed=seen.lapsed,
        left=seen.left,
        freed=max(0, seen.calls - state.called - state.admitted) if state else 0,
    )


def _leader(seen: Oversight) -> LeaderBody:
    return LeaderBody(
        name=seen.leader or None,
        lag_ms=max(0, seen.now_ms - seen.ticked_ms) if seen.ticked_ms else None,
        standby=seen.standby,
    )


def _recovery(seen: Oversight) -> RecoveryBody | None:
    """Only while something of the loss is still felt."""
    if not seen.lost_ms or not (seen.quiet_ms or seen.unknown_slots or seen.now_ms < seen.settled_ms):
        return None
    return RecoveryBody(
        lost_at=moment(seen.lost_ms),
        settled_at=moment(seen.settled_ms),
        slots_unknown=seen.unknown_slots,
        quiet_s=-(-seen.quiet_ms // 1000),
    )

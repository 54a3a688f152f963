"""From what the rooms know to what buyers are shown: pure functions from records to bodies. Knows no HTTP and no store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import overload

from gateway.bodies.draws import DrawBody
from gateway.bodies.line import HoldBody, LineBody, PollBody, StockBody
from gateway.bodies.sales import MessageBody, ProductBody, SaleBody, SaleItemBody
from shop.catalogue.rules import Product
from shop.sales.publication import SalePublication
from shop.sales.reading import Sale
from shop.stock.publication import StockPublication
from shop.storage.columns import to_millis
from waiting_room.line_state import LineState
from waiting_room.polling import SHARE_OF_WAIT, PollLimits
from waiting_room.window import Phase, SaleSettings, Stock, StockState, phase

_ENDED = frozenset({Phase.CLOSED, Phase.CANCELLED, Phase.SOLD_OUT})
_BEING_DRAWN = ("gathering", "drawing", "listed")
_STANDSTILL = frozenset({Phase.PAUSED, Phase.HALTED, Phase.ALL_HELD})


@overload
def moment(millis: int) -> datetime: ...
@overload
def moment(millis: None) -> None: ...
def moment(millis: int | None) -> datetime | None:
    """Unix milliseconds as an aware datetime."""
    return None if millis is None else datetime.fromtimestamp(millis / 1000, tz=UTC)


def message_of(ko: str | None, en: str | None) -> MessageBody | None:
    """The operator's message, when there is one in any language; a missing language gets the other one."""
    return MessageBody(ko=ko or en or "", en=en or ko or "") if ko or en else None


def phase_of(sale: Sale, state: LineState | None, now: datetime) -> Phase:
    """The phase as the line has it; without a line, what settings and time say."""
    if state is not None:
        return state.phase
    return phase(_settings_of(sale), Stock.unknown(), round(now.timestamp() * 1000))


def ended_line(sale: Sale) -> LineState:
    """The line of a sale that ended long ago: nobody is in it."""
    at_ms = to_millis(sale.closed_at or sale.closes_at)
    settings = _settings_of(sale)
    return LineState(
        sale_id=sale.sale_id,
        settings=settings,
        stock=Stock.unknown(),
        items={},
        phase=phase(settings, Stock.unknown(), max(at_ms, settings.closes_at_ms)),
        now_ms=at_ms,
        confirmed=True,
        leader=False,
    )


def _settings_of(sale: Sale) -> SaleSettings:
    published = SalePublication(sale, StockPublication(sale.sale_id, 0, ())).settings()
    return SaleSettings.from_fields({name: str(value) for name, value in published.items()})


def sale_body(
    sale: Sale,
    state: LineState | None,
    products: Mapping[str, Product],
    now: datetime,
    draw: DrawBody | None = None,
) -> SaleBody:
    """A sale window with its items. `products` adds pictures and descriptions where they are known."""
    return SaleBody(
        slug=sale.slug,
        title=sale.title,
        phase=phase_of(sale, state, now),
        mode=sale.mode,
        lobby_opens_at=sale.lobby_opens_at,
        opens_at=sale.opens_at,
        closes_at=sale.closes_at,
        guests=sale.guests,
        challenge=sale.challenge,
        items=[
            SaleItemBody(
                product_id=item.product_id,
                title=item.title,
                price=item.price,
                currency=item.currency,
                limit_per_buyer=item.limit_per_buyer,
                stock_state=_item_state(state, item.product_id),
                description=products[item.product_id].description if item.product_id in products else None,
                image=products[item.product_id].image if item.product_id in products else None,
            )
            for item in sale.items
        ],
        draw=draw,
        message=message_of(sale.message_ko, sale.message_en),
    )


def _item_state(state: LineState | None, product_id: str) -> StockState:
    if state is None or product_id not in state.items:
        return StockState.UNKNOWN
    return state.items[product_id].stock.state


def product_body(product: Product, sales: Iterable[SaleBody]) -> ProductBody:
    """A product with the first sale that offers it and has not ended; its price is that sale's."""
    for sale in sales:
        if sale.phase in _ENDED:
            continue
        for item in sale.items:
            if item.product_id == product.product_id:
                return _product(product, item.price, item.stock_state, sale.slug)
    return _product(product, product.price, StockState.UNKNOWN, None)


def _product(product: Product, price: int, stock_state: str, sale: str | None) -> ProductBody:
    return ProductBody(
        product_id=product.product_id,
        title=product.title,
        description=product.description,
        price=price,
        currency=product.currency,
        stock_state=stock_state,
        image=product.image,
        sale=sale,
    )


def line_body(state: LineState, limits: PollLimits, before: LineBody | None = None) -> LineBody:
    """The shared state of a line. `before` is the one shown last: a hold that goes on keeps its beginning."""
    stock = state.stock
    return LineBody(
        phase=state.phase,
        now_serving=state.now_serving,
        waiting=state.waiting,
        calls_per_minute=state.settings.calls_per_minute,
        stock=StockBody(state=stock.state, left=stock.free if stock.known else None),
        poll=PollBody(floor_ms=limits.floor_ms, ceiling_ms=limits.ceiling_ms, divisor=SHARE_OF_WAIT),
        as_of=moment(state.now_ms),
        message=message_of(state.settings.message_ko, state.settings.message_en),
        hold=_since_before(_hold(state), before),
    )


def _hold(state: LineState) -> HoldBody | None:
    """Why nobody is called, if so."""
    if not state.confirmed:
        return HoldBody(reason="rebuilding", since=moment(state.gate_since_ms or state.now_ms))
    if state.phase in _STANDSTILL:
        return HoldBody(reason=state.phase, since=moment(state.gate_since_ms or state.now_ms))
    if state.phase in (Phase.OPEN, Phase.DRAINING):
        if not state.leader:
            return HoldBody(reason="no_controller", since=moment(state.now_ms))
        if state.draw in _BEING_DRAWN or state.gate == "drawing":
            return HoldBody(reason="drawing", since=moment(state.gate_since_ms or state.now_ms))
        if state.limit in ("rebuilding", "provider_down"):
            return HoldBody(reason=state.limit, since=moment(state.limit_since_ms or state.now_ms))
        if state.limit == "backlog":
            return HoldBody(reason="checkout_slow", since=moment(state.limit_since_ms or state.now_ms))
    return None


def _since_before(hold: HoldBody | None, before: LineBody | None) -> HoldBody | None:
    if hold is None or before is None or before.hold is None or before.hold.reason != hold.reason:
        return hold
    return HoldBody(reason=hold.reason, since=min(hold.since, before.hold.since))

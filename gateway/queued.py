"""Orders that stand in a lane and are not decided: what the lane remembers of them, as buyers and operators see it.

Decides nothing; knows no HTTP. What ends in `_now` blocks and runs in threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.bodies.operator import OperatorOrderBody
from gateway.bodies.orders import OrderBody, OrderLineBody
from gateway.views import moment
from shop.orders.entry import EntryLine, OrderEntry
from shop.orders.read import decided_among
from shop.orders.rules import OrderState
from shop.sales.reading import SaleItem

if TYPE_CHECKING:
    from gateway.services import Services

# The decision is a matter of milliseconds; who asks again after this long sees it almost always.
POLL_AFTER_MS = 700
_LONGEST_ID = 32


def can_be_an_id(order_id: str) -> bool:
    """Whether the lanes need to be asked at all."""
    return order_id.isascii() and len(order_id) <= _LONGEST_ID


def undecided_now(services: Services, order_id: str) -> OrderEntry | None:
    """The entry of an order that a lane has taken and nobody has decided. Raises Unavailable or redis-py's RedisError."""
    if not can_be_an_id(order_id) or decided_among(services.db, [order_id]):
        return None
    return services.lane_reader.entry(services.snapshot.going_on(), order_id)


def waiting_now(
    services: Services, sale_id: str | None, narrowed: Mapping[str, str | None], limit: int
) -> list[OrderEntry]:
    """Undecided orders of one sale or of all, those that wait longest; `narrowed` by account_id, product_id or order_id."""
    wanted = {name: value for name, value in narrowed.items() if value is not None}
    if "payment_id" in wanted:
        return []
    sale_ids = [sale_id] if sale_id is not None else services.snapshot.going_on()
    entries = [
        entry
        for entry in services.lane_reader.waiting(sale_ids)
        if entry.late is None and _fits(entry, wanted)
    ]
    decided = decided_among(services.db, [entry.order_id for entry in entries])
    return [entry for entry in entries if entry.order_id not in decided][:limit]


def _fits(entry: OrderEntry, wanted: Mapping[str, str]) -> bool:
    """Whether the entry has every value that is asked for."""
    of_entry = {"account_id": entry.account_id, "order_id": entry.order_id}
    products = {line.product_id for line in entry.lines}
    return all(
        value in products if name == "product_id" else of_entry[name] == value
        for name, value in wanted.items()
    )


def queued_body(services: Services, entry: OrderEntry) -> OrderBody:
    """An undecided order as its buyer sees it. Raises SnapshotStale."""
    slug, currency, lines = _content(services, entry)
    return OrderBody(
        order_id=entry.order_id,
        sale=slug,
        state=OrderState.QUEUED,
        seq=None,
        lines=lines,
        total=_total(lines),
        currency=currency,
        accepted_at=moment(entry.accepted_at_ms),
        poll_after_ms=POLL_AFTER_MS,
    )


def operator_body(services: Services, entry: OrderEntry) -> OperatorOrderBody:
    """The same for operators. Raises SnapshotStale."""
    slug, currency, lines = _content(services, entry)
    return OperatorOrderBody(
        order_id=entry.order_id,
        sale=slug,
        account_id=entry.account_id,
        state=OrderState.QUEUED,
        seq=None,
        total=_total(lines),
        currency=currency,
        lines=lines,
        accepted_at=moment(entry.accepted_at_ms),
    )


def _content(services: Services, entry: OrderEntry) -> tuple[str, str, list[OrderLineBody]]:
    """Slug, currency and lines, with the titles that the sale has now and the prices that the buyer saw."""
    sale = services.snapshot.sale_by_id(entry.sale_id)
    items: Mapping[str, SaleItem] = {item.product_id: item for item in sale.items} if sale else {}
    lines = [_line(line, items.get(line.product_id)) for line in entry.lines]
    currency = next((item.currency for item in items.values()), "")
    return sale.slug if sale else "", currency, lines


def _line(line: EntryLine, item: SaleItem | None) -> OrderLineBody:
    return OrderLineBody(
        product_id=line.product_id,
        title=item.title if item else line.product_id,
        quantity=line.quantity,
        unit_price=line.unit_price,
    )


def _total(lines: list[OrderLineBody]) -> int:
    return sum(line.quantity * line.unit_price for line in lines)

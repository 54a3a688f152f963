"""Orders and ledger as tables, read in parts however long they are. Decides nothing; knows no HTTP. Blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.records import table
from gateway.sessions import Principal
from shop.orders import person as people
from shop.orders import read
from shop.sales import reading
from shop.stock.ledger import ledger_after

if TYPE_CHECKING:
    from gateway.services import Services

ORDER_COLUMNS = (
    *("order_id", "sale", "seq", "state", "reason", "review_reason", "lines", "total", "currency"),
    *("accepted_at", "decided_at", "account_id", "payment_id", "payment_state"),
)
PERSON_COLUMNS = ("email", "name", "phone", "recipient", "line1", "line2", "postcode", "city", "country")
LEDGER_COLUMNS = (
    *("entry_id", "at", "sale", "product_id", "order_id", "delta_allotted", "delta_held", "delta_sold"),
    *("reason", "actor"),
)
_AT_ONCE = 200


def orders_csv(services: Services, principal: Principal, sale: str | None) -> Iterator[str]:
    """Orders, the newest first, in parts. Viewers get no personal columns; that operators do is audited before the first part.

    Raises UnknownSale before it too. Totals are in minor units.
    """
    sale_id = reading.read_sale(services.db, sale).sale_id if sale is not None else None
    personal = principal.role != "viewer"
    if personal:
        people.note_export(services.db, principal.subject_id, sale_id or "all")
    return _order_parts(services, sale_id, personal=personal)


def ledger_csv(services: Services, sale: str | None) -> Iterator[str]:
    """Movements of stock, the first first, in parts. Raises UnknownSale before the first."""
    sale_id = reading.read_sale(services.db, sale).sale_id if sale is not None else None
    return _ledger_parts(services, sale_id)


def _order_parts(services: Services, sale_id: str | None, *, personal: bool) -> Iterator[str]:
    yield table([ORDER_COLUMNS + (PERSON_COLUMNS if personal else ())])
    cursor: str | None = None
    while True:
        found = read.list_all_orders(services.db, sale_id=sale_id, cursor=cursor, limit=_AT_ONCE)
        ids = [order.order_id for order in found.items]
        buyers = people.open_persons(services.db, services.kit, ids) if personal and ids else {}
        rows = [
            _order_cells(order) + (_person_cells(buyers[order.order_id]) if personal else ())
            for order in found.items
        ]
        if rows:
            yield table(rows)
        cursor = found.next_cursor
        if cursor is None:
            return


def _order_cells(order: read.Order) -> tuple[str, ...]:
    lines = "; ".join(f"{line.quantity} {line.product_id}" for line in order.lines)
    payment = order.payment
    return (
        *(order.order_id, order.sale, _text(order.seq), order.state, order.reason or ""),
        *(order.review_reason or "", lines, str(order.total), order.currency),
        *(order.accepted_at.isoformat(), order.decided_at.isoformat(), order.account_id),
        *((payment.payment_id, payment.state) if payment else ("", "")),
    )


def _person_cells(buyer: people.Person) -> tuple[str, ...]:
    to = buyer.address
    where = (to.recipient, to.line1, to.line2, to.postcode, to.city, to.country) if to else ("",) * 6
    return (buyer.email, buyer.name, buyer.phone, *where)


def _ledger_parts(services: Services, sale_id: str | None) -> Iterator[str]:
    yield table([LEDGER_COLUMNS])
    last = 0
    while rows := ledger_after(services.db, sale_id, last, _AT_ONCE):
        yield table(
            (
                *(str(row.entry_id), row.at.isoformat(), row.sale or "", row.product_id or ""),
                *(row.order_id or "", str(row.delta_allotted), str(row.delta_held), str(row.delta_sold)),
                *(row.reason, row.actor),
            )
            for row in rows
        )
        last = rows[-1].entry_id


def _text(number: int | None) -> str:
    return "" if number is None else str(number)

"""What operators look up: orders of all buyers, and who changed what. Decides nothing; knows no HTTP. Blocks; runs in threads."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from redis.exceptions import RedisError

from gateway.bodies.operator import AuditBody, AuditList, OperatorOrderBody, OperatorOrderList
from gateway.bodies.problems import FieldFault
from gateway.checkout import line_body
from gateway.queued import operator_body, waiting_now
from gateway.refusals import BadFields
from shop.accounts.operators import list_operators
from shop.orders import read
from shop.orders.rules import OrderState
from shop.sales import audit, reading

if TYPE_CHECKING:
    from gateway.services import Services

CSV_COLUMNS = ("at", "operator", "operator_id", "action", "sale", "subject", "detail")
# A table's program takes a cell that begins so for a formula, and runs it; some read the wide signs of Asian keyboards alike.
_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
_NUMBER = re.compile(r"-?[0-9]+")
_AT_ONCE = 200


def list_orders(
    services: Services,
    sale: str | None = None,
    state: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    **narrowed: str | None,
) -> OperatorOrderList:
    """Orders, the newest first; `narrowed` by account_id, product_id, order_id or payment_id. Raises UnknownSale, BadFields or
    InvalidFields.

    Those that still wait for their decision are read from the lanes: with the state `queued`, those that wait longest, all on one
    page; of one buyer, or by its id, before the others.
    """
    if state is not None and state not in list(OrderState):
        raise BadFields([FieldFault(field="state", message="must be one of " + ", ".join(OrderState))])
    sale_id = reading.read_sale(services.db, sale).sale_id if sale is not None else None
    named = any(narrowed.get(name) is not None for name in ("account_id", "order_id"))
    waiting: list[OperatorOrderBody] = []
    if cursor is None and (state == OrderState.QUEUED or (state is None and named)):
        waiting = _waiting(services, sale_id, narrowed, limit, needed=state is not None)
    if state == OrderState.QUEUED:
        return OperatorOrderList(items=waiting, next_cursor=None)
    page = read.list_all_orders(
        services.db,
        sale_id=sale_id,
        states=[OrderState(state)] if state is not None else (),
        cursor=cursor,
        limit=limit,
        **narrowed,
    )
    items = [*waiting, *map(order_body, page.items)]
    return OperatorOrderList(items=items, next_cursor=page.next_cursor)


def _waiting(
    services: Services, sale_id: str | None, narrowed: Mapping[str, str | None], limit: int, *, needed: bool
) -> list[OperatorOrderBody]:
    """Undecided orders, the newest first. Raises RedisError if they are what is `needed`: the decided ones are shown without."""
    try:
        entries = waiting_now(services, sale_id, narrowed, limit)
    except RedisError:
        if needed:
            raise
        return []
    bodies = [operator_body(services, entry) for entry in entries]
    return sorted(bodies, key=lambda body: body.accepted_at, reverse=True)


def list_audit(
    services: Services,
    sale: str | None = None,
    action: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> AuditList:
    """What operators changed, the newest first, of one sale or of one kind. Raises UnknownSale, or BadFields for a bad cursor."""
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise BadFields([FieldFault(field="cursor", message="must be a next_cursor of this list")])
    limit = max(1, min(limit, 200))
    rows = audit.list_audit(
        services.db,
        subject=reading.read_sale(services.db, sale).sale_id if sale is not None else None,
        action=action,
        before=int(cursor) if cursor else None,
        limit=limit,
    )
    return AuditList(
        items=_audit_bodies(services, rows, names_of(services)),
        next_cursor=str(rows[-1].audit_id) if len(rows) == limit else None,
    )


def audit_csv(services: Services, sale: str | None = None) -> Iterator[str]:
    """The whole list as a table, the newest first, in parts. Raises UnknownSale before the first of them."""
    subject = reading.read_sale(services.db, sale).sale_id if sale is not None else None
    return _audit_parts(services, subject, names_of(services))


def _audit_parts(services: Services, subject: str | None, names: Mapping[str, str]) -> Iterator[str]:
    yield table([CSV_COLUMNS])
    before: int | None = None
    while rows := audit.list_audit(services.db, subject=subject, before=before, limit=_AT_ONCE):
        yield table(
            (
                *(body.at.isoformat(), body.operator or "", body.operator_id, body.action),
                *(body.sale or "", body.subject, msgspec.json.encode(body.detail).decode()),
            )
            for body in _audit_bodies(services, rows, names)
        )
        before = rows[-1].audit_id


def table(rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> str:
    """Rows as CSV (RFC 4180, UTF-8 without a mark at its head), with no cell that a spreadsheet would run."""
    out = io.StringIO()
    csv.writer(out).writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: str) -> str:
    """Movements of stock stay numbers: the table's reader adds them up."""
    return f"'{cell}" if cell.startswith(_FORMULAS) and not _NUMBER.fullmatch(cell) else cell


def names_of(services: Services) -> dict[str, str]:
    """The names of all operators by their ids."""
    return {one.operator_id: one.name for one in list_operators(services.db, services.kit)}


def _audit_bodies(
    services: Services, rows: Sequence[audit.AuditRow], names: Mapping[str, str]
) -> list[AuditBody]:
    slugs = reading.slugs_of(services.db, {row.subject for row in rows})
    return [
        AuditBody(
            audit_id=row.audit_id,
            operator_id=row.operator_id,
            action=row.action,
            subject=row.subject,
            detail=row.detail,
            at=row.at,
            operator=names.get(row.operator_id),
            sale=slugs.get(row.subject),
        )
        for row in rows
    ]


def order_body(order: read.Order) -> OperatorOrderBody:
    """An order in the operator's list."""
    return OperatorOrderBody(
        order_id=order.order_id,
        sale=order.sale,
        account_id=order.account_id,
        state=order.state,
        seq=order.seq,
        total=order.total,
        currency=order.currency,
        lines=[line_body(line) for line in order.lines],
        accepted_at=order.accepted_at,
        reason=order.reason,
        review_reason=order.review_reason,
        hold_expires_at=order.hold_expires_at,
    )

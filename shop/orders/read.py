"""Looking at decided orders: a buyer's own, or any for an operator. Personal data is not part of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from shop.orders.money import Money, money_of
from shop.orders.rules import HOLDING_STATES, OUTCOMES, Ended, OrderState, RejectReason, UnknownOrder
from shop.storage.database import Database, Tx
from shop.storage.paging import Page, read_page
from shop.storage.tables import order_lines, orders, payments, sales

_KEY = (orders.c.accepted_at, orders.c.order_id)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """So many units of one product; `unit_price` in minor units."""

    product_id: str
    title: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class OrderPayment:
    """The latest attempt to pay an order."""

    payment_id: str
    provider: str
    state: str
    checkout_url: str | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as decided. `sale` is the slug; `total` minor units of `currency`; `reason` only of a rejection."""

    order_id: str
    sale_id: str
    sale: str
    account_id: str
    state: OrderState
    seq: int | None
    reason: RejectReason | None
    review_reason: str | None
    total: int
    currency: str
    accepted_at: datetime
    decided_at: datetime
    hold_expires_at: datetime | None
    lines: tuple[OrderLine, ...]
    payment: OrderPayment | None
    money: Money


def read_order(db: Database, account_id: str, order_id: str) -> Order:
    """One of my orders. Raises `UnknownOrder` for anybody else's."""
    return db.read(_one, _query().where(orders.c.order_id == order_id, orders.c.account_id == account_id))


def read_any_order(db: Database, order_id: str) -> Order:
    """Any order, for an operator. Raises `UnknownOrder`."""
    return db.read(read_one, order_id)


def read_one(tx: Tx, order_id: str) -> Order:
    """As `read_any_order`, inside a transaction."""
    return _one(tx, _query().where(orders.c.order_id == order_id))


def list_orders(db: Database, account_id: str, *, cursor: str | None = None, limit: int = 20) -> Page[Order]:
    """My orders, the latest accepted first. Raises `InvalidFields` for a bad cursor."""
    return db.read(_page, _query().where(orders.c.account_id == account_id), cursor, limit)


def list_all_orders(
    db: Database,
    *,
    sale_id: str | None = None,
    states: Collection[OrderState] = (),
    account_id: str | None = None,
    product_id: str | None = None,
    order_id: str | None = None,
    payment_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Order]:
    """Everybody's orders for an operator, the latest accepted first; each of the others narrows them down where it is given.

    Raises `InvalidFields` for a bad cursor.
    """
    query = _query()
    if sale_id is not None:
        query = query.where(orders.c.sale_id == sale_id)
    if states:
        query = query.where(orders.c.state.in_(states))
    if account_id is not None:
        query = query.where(orders.c.account_id == account_id)
    if order_id is not None:
        query = query.where(orders.c.order_id == order_id)
    if product_id is not None:
        lines = select(order_lines.c.order_id).where(order_lines.c.product_id == product_id)
        query = query.where(orders.c.order_id.in_(lines))
    if payment_id is not None:
        paid = select(payments.c.order_id).where(payments.c.payment_id == payment_id)
        query = query.where(orders.c.order_id.in_(paid))
    return db.read(_page, query, cursor, limit)


def decided_among(db: Database, order_ids: Collection[str]) -> set[str]:
    """Those of these orders that the database knows: decided, or cancelled before that."""
    query = select(orders.c.order_id).where(orders.c.order_id.in_(order_ids))
    return set(db.read(lambda tx: tx.scalars(query))) if order_ids else set()


def ended_orders(db: Database, order_ids: Collection[str]) -> list[Ended]:
    """Those of these orders that use their slot in the waiting room no more."""
    columns = (orders.c.sale_id, orders.c.order_id, orders.c.pass_jti, orders.c.state)
    query = select(*columns).where(orders.c.order_id.in_(order_ids), orders.c.state.in_(OUTCOMES))
    rows = db.read(lambda tx: tx.all(query)) if order_ids else []
    return [Ended(row.sale_id, row.order_id, row.pass_jti, OUTCOMES[OrderState(row.state)]) for row in rows]


def holding_orders(db: Database, order_ids: Collection[str]) -> set[str]:
    """Those of these orders that hold units and are not paid."""
    query = select(orders.c.order_id).where(
        orders.c.order_id.in_(order_ids), orders.c.state.in_(HOLDING_STATES)
    )
    return set(db.read(lambda tx: tx.scalars(query))) if order_ids else set()


def _query() -> Select[Any]:
    return select(orders, sales.c.slug).join(sales, sales.c.sale_id == orders.c.sale_id)


def _one(tx: Tx, query: Select[Any]) -> Order:
    row = tx.first(query)
    if row is None:
        raise UnknownOrder("there is no such order")
    return _with_details(tx, [row])[0]


def _page(tx: Tx, query: Select[Any], cursor: str | None, limit: int) -> Page[Order]:
    return read_page(tx, query, _KEY, cursor, limit, lambda rows: _with_details(tx, rows))


def _with_details(tx: Tx, rows: Sequence[Row[Any]]) -> list[Order]:
    ids = [row.order_id for row in rows]
    lines: dict[str, list[OrderLine]] = defaultdict(list)
    paid: dict[str, list[Row[Any]]] = defaultdict(list)
    if ids:
        chosen = order_lines.c.order_id.in_(ids)
        for row in tx.all(select(order_lines).where(chosen).order_by(order_lines.c.sale_item_id)):
            lines[row.order_id].append(OrderLine(row.product_id, row.title, row.quantity, row.unit_price))
        attempts = select(payments).where(payments.c.order_id.in_(ids)).order_by(payments.c.created_at)
        for row in tx.all(attempts):
            paid[row.order_id].append(row)
    return [_order(row, tuple(lines[row.order_id]), paid[row.order_id]) for row in rows]


def _payment(row: Row[Any]) -> OrderPayment:
    return OrderPayment(row.payment_id, row.provider, row.state, row.checkout_url, row.expires_at)


def _order(row: Row[Any], lines: tuple[OrderLine, ...], attempts: list[Row[Any]]) -> Order:
    return Order(
        order_id=row.order_id,
        sale_id=row.sale_id,
        sale=row.slug,
        account_id=row.account_id,
        state=OrderState(row.state),
        seq=row.seq,
        reason=RejectReason(row.reason) if row.reason else None,
        review_reason=row.review_reason,
        total=row.total,
        currency=row.currency,
        accepted_at=row.accepted_at,
        decided_at=row.decided_at,
        hold_expires_at=row.hold_expires_at,
        lines=lines,
        payment=_payment(attempts[-1]) if attempts else None,
        money=money_of(attempts),
    )

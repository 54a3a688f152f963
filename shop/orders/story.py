"""The whole story of one order, for operators: everything that the books keep of it, in one line of time.

Turns, acceptance and decision, units, payments, callbacks with their verdicts, letters and other effects with their attempts, and
what operators did. Knows no personal data; whose order it is stands in `shop.orders.person`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, or_, select

from shop.mail.effects import of_subject
from shop.orders.entry import OrderEntry
from shop.orders.offers import Refundable, offers, refundable
from shop.orders.read import Order, read_one
from shop.orders.stuck import given_up_of
from shop.payments.apply import attempt_of
from shop.storage.columns import from_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import (
    audit,
    call_log,
    lane_attempts,
    order_lines,
    orders,
    outbox,
    payment_events,
    payments,
    reservations,
    stock_ledger,
)

# Of anything that a provider or a buyer can repeat at will, so much is read.
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. `what` is its word within `kind`: turn, order, stock, reservation, payment, callback, effect, operator."""

    at: datetime
    kind: str
    what: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """An order and what happened to it, the first first. `ticket_id` is the one whose turn it used.

    `offers` is what an operator may do to it now, `refundable` what of its money may be given back.
    """

    order: Order
    ticket_id: str
    moments: list[Moment]
    offers: tuple[str, ...] = ()
    refundable: Refundable | None = None


def read_story(db: Database, order_id: str) -> Story:
    """The story as it is now. Raises `UnknownOrder`."""
    return db.snapshot(_story, order_id)


def read_beginning(db: Database, entry: OrderEntry) -> list[Moment]:
    """What happened to an order that is not decided yet, the first first."""
    accepted = Moment(
        from_millis(entry.accepted_at_ms), "order", "accepted", {"accepted_no": entry.accepted_no}
    )
    ticket_id = entry.pass_jti.rpartition(".")[0]
    turns = db.read(lambda tx: list(_turns(tx, entry.sale_id, ticket_id)))
    return sorted([*turns, accepted], key=lambda moment: moment.at)


def _story(tx: Tx, order_id: str) -> Story:
    order = read_one(tx, order_id)
    row = tx.one(select(orders).where(orders.c.order_id == order_id))
    ticket_id = row.pass_jti.rpartition(".")[0]
    paid = _rows(tx, payments, payments.c.order_id == order_id)
    ids = [payment.payment_id for payment in paid]
    moments = [
        *_turns(tx, row.sale_id, ticket_id),
        *_decision(tx, row),
        *_stock(tx, order_id),
        *(_payment(one) for one in paid),
        *_callbacks(tx, ids),
        *_effects(tx, [order_id, *ids]),
        *_operators(tx, [order_id, *ids]),
    ]
    attempts = [attempt_of(payment) for payment in paid]
    given_up = tx.scalar(given_up_of([order_id, *ids]).limit(1)) is not None
    return Story(
        order,
        ticket_id,
        sorted(moments, key=lambda moment: moment.at),
        offers(order.state, order.total, order.review_reason, attempts, given_up=given_up),
        refundable(order.state, attempts),
    )


def _rows(tx: Tx, table: Table, chosen: ColumnElement[bool]) -> list[Row[Any]]:
    return list(tx.all(select(table).where(chosen).limit(MOST_ROWS)))


def _turns(tx: Tx, sale_id: str, ticket_id: str) -> Iterator[Moment]:
    mine = (call_log.c.sale_id == sale_id) & (call_log.c.ticket_id == ticket_id)
    for row in _rows(tx, call_log, mine):
        yield Moment(
            row.at, "turn", row.event, {"number": row.number, "turn": row.turn, "detail": row.detail or ""}
        )


def _decision(tx: Tx, order: Row[Any]) -> Iterator[Moment]:
    yield Moment(order.accepted_at, "order", "accepted", {"accepted_no": order.accepted_no})
    decided = "cancelled_before" if order.seq is None else "rejected" if order.reason else "decided"
    yield Moment(order.decided_at, "order", decided, {"seq": order.seq, "reason": order.reason or ""})
    if order.updated_at > order.decided_at + timedelta(milliseconds=1):
        detail = {"state": order.state, "review_reason": order.review_reason or ""}
        yield Moment(order.updated_at, "order", "changed", detail)
    for row in _rows(tx, lane_attempts, lane_attempts.c.order_id == order.order_id):
        yield Moment(row.at, "order", "attempt_failed", {"attempts": row.attempts})


def _stock(tx: Tx, order_id: str) -> Iterator[Moment]:
    lines = _rows(tx, order_lines, order_lines.c.order_id == order_id)
    titles = {line.sale_item_id: line.title for line in lines}
    for row in _rows(tx, stock_ledger, stock_ledger.c.order_id == order_id):
        detail = {
            "sale_item_id": row.sale_item_id,
            "product": titles.get(row.sale_item_id, ""),
            "held": row.delta_held,
            "sold": row.delta_sold,
            "actor": row.actor,
        }
        yield Moment(row.at, "stock", row.reason, detail)
    for row in _rows(tx, reservations, reservations.c.order_id == order_id):
        detail = {
            "sale_item_id": row.sale_item_id,
            "product": titles.get(row.sale_item_id, ""),
            "quantity": row.quantity,
            "reason": row.reason or "",
        }
        yield Moment(row.updated_at, "reservation", row.state, detail)


def _payment(row: Row[Any]) -> Moment:
    detail = {
        "payment_id": row.payment_id,
        "provider": row.provider,
        "provider_ref": row.provider_ref or "",
        "amount": row.amount,
        "currency": row.currency,
        "captured": row.captured,
        "captured_currency": row.captured_currency or "",
        "refunded": row.refunded,
        "began_at": row.created_at.isoformat(),
        "review_reason": row.review_reason or "",
    }
    return Moment(row.updated_at, "payment", row.state, detail)


def _callbacks(tx: Tx, payment_ids: list[str]) -> Iterator[Moment]:
    if payment_ids:
        for row in _rows(tx, payment_events, payment_events.c.payment_id.in_(payment_ids)):
            detail = {"event_type": row.event_type, "event_id": row.event_id, "payment_id": row.payment_id}
            yield Moment(row.received_at, "callback", row.verdict, detail)


def _effects(tx: Tx, ids: list[str]) -> Iterator[Moment]:
    """Effects are named after what they are for: kind ":" id, and what else makes them the only one of their name."""
    for row in _rows(tx, outbox, or_(*(of_subject(one) for one in ids))):
        state = "done" if row.done_at else "dead" if row.dead_at else "waiting"
        detail = {
            "outbox_id": row.outbox_id,
            "effect": row.kind,
            "name": row.dedupe.rpartition(":")[2] if row.dedupe.count(":") > 1 else "",
            "attempts": row.attempts,
            "last_error": row.last_error or "",
        }
        yield Moment(row.done_at or row.dead_at or row.created_at, "effect", state, detail)


def _operators(tx: Tx, ids: list[str]) -> Iterator[Moment]:
    for row in _rows(tx, audit, audit.c.subject.in_(ids)):
        yield Moment(row.at, "operator", row.action, {"operator_id": row.operator_id, **row.detail})

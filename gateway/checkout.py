"""Placing an order and looking at it afterwards: the bridge between a request, the lane and the shop.

An accepted order lives in its lane until it is decided; looking asks the database first and the lane for what is not there yet.
Decides nothing. Knows no HTTP; of cookies only what receipts are called.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.announcing import announce_ended
from gateway.bodies.orders import (
    MoneyBody,
    OrderAccepted,
    OrderBody,
    OrderLineBody,
    OrderList,
    OrderPaymentBody,
)
from gateway.bodies.problems import FieldFault
from gateway.cookies import cookie_name
from gateway.inputs import NewOrder
from gateway.queued import POLL_AFTER_MS, can_be_an_id, queued_body
from gateway.refusals import BadFields, NotAdmitted
from gateway.sessions import Principal
from shop.orders import cancel, read
from shop.orders.entry import EntryLine, OrderEntry
from shop.orders.naming import order_id_for
from shop.orders.receipt import InvalidReceipt, good_until_ms, read_receipt, receipt_of, sign_receipt
from shop.orders.rules import OrderState, UnknownOrder
from waiting_room.refusals import InvalidToken
from workers.lanes import OrderDraft, fingerprint

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.snapshot import SaleView
    from waiting_room.passes import Pass

PAYING_POLL_AFTER_MS = 2000
RECEIPT_COOKIE = "receipt_"  # and the sale's id


@dataclass(frozen=True, slots=True)
class Placed:
    """The answer to an accepted order; `replayed` when the same request was accepted before."""

    body: OrderAccepted
    replayed: bool


async def place_order(
    services: Services,
    slug: str,
    principal: Principal,
    pass_token: str | None,
    idempotency_key: str,
    order: NewOrder,
) -> Placed:
    """Accept an order into the sale's lane; no database. A repeat gives the same bytes, also when the pass has ended since.

    Raises UnknownSale, NotAdmitted, BadFields, and every refusal of `workers.lanes` (nothing was used up).
    """
    sale = services.snapshot.known(slug) or await services.snapshot.find(slug)
    lines = _lines(order, {item.product_id: item.price for item in sale.items})
    body_hash = fingerprint(lines, order.address_id)
    key = services.order_id_keys.by_id[sale.ticket_key_id]
    order_id = order_id_for(key, sale.sale_id, principal.subject_id, idempotency_key)
    try:
        admission = _admission(services, sale, principal, pass_token)
    except NotAdmitted:
        entry = await services.lanes.peek(sale.sale_id, order_id)
        if entry is None or entry.fingerprint != body_hash:
            raise
        return Placed(_accepted_body(services, entry), replayed=True)
    accepted = await services.lanes.accept(
        OrderDraft(
            order_id=order_id,
            sale_id=sale.sale_id,
            account_id=principal.subject_id,
            pass_jti=admission.jti,
            pass_exp_ms=admission.exp * 1000,
            lines=lines,
            address_id=order.address_id,
            fingerprint=body_hash,
            receipt_key=services.receipt_keys.active,
            good_until_ms=good_until_ms(sale.closes_at),
        )
    )
    if accepted.ring:
        services.bells.lane(sale.sale_id)
    return Placed(_accepted_body(services, accepted.entry), accepted.replayed)


async def read_order(
    services: Services, principal: Principal, order_id: str, receipt: str | None = None
) -> OrderBody:
    """One of my orders, queued or decided. One that no store knows any more goes back into its lane by its receipt.

    Raises UnknownOrder, InvalidReceipt, LaneRecovering, or Unavailable while a store does not answer.
    """
    try:
        found = await services.threads(read.read_order, services.db, principal.subject_id, order_id)
    except UnknownOrder:
        entry = await _find_queued(services, principal, order_id)
        if entry is None:
            entry = await _restored(services, principal, order_id, receipt)
        return queued_body(services, entry)
    return order_body(found)


def kept_receipt(services: Services, cookies: Mapping[str, str], order_id: str) -> str | None:
    """The receipt of this order among the cookies of a browser, which keeps the latest of each sale."""
    for name, token in cookies.items():
        if name.startswith(cookie_name(services.settings, RECEIPT_COOKIE)):
            with suppress(InvalidReceipt):
                if read_receipt(services.receipt_keys, token, datetime.now(UTC)).order_id == order_id:
                    return token
    return None


async def list_orders(
    services: Services, principal: Principal, cursor: str | None = None, limit: int = 20
) -> OrderList:
    """My decided orders, the newest first. Raises InvalidFields for a bad cursor."""
    page = await services.threads(
        read.list_orders, services.db, principal.subject_id, cursor=cursor, limit=limit
    )
    return OrderList(items=[order_body(order) for order in page.items], next_cursor=page.next_cursor)


async def cancel_order(services: Services, principal: Principal, order_id: str) -> tuple[OrderBody, bool]:
    """Cancel my order; False in second place while the payment provider is asked first (the order is still paying).

    Raises UnknownOrder, IllegalMove or Unavailable.
    """
    queued = await _find_queued(services, principal, order_id)
    done = await services.threads(_cancel, services, principal.subject_id, order_id, queued)
    return await read_order(services, principal, order_id), done


# ---------------------------------------------------------------- accepting


def _admission(services: Services, sale: SaleView, principal: Principal, token: str | None) -> Pass:
    """The pass, which is of this sale and of this very buyer. Raises NotAdmitted."""
    if not token:
        raise NotAdmitted("send the pass of your turn in Admission-Pass")
    try:
        admission = services.pass_reader.read(token, round(time.time() * 1000))
    except InvalidToken:
        raise NotAdmitted("the pass is not valid, or no longer") from None
    if (admission.sale_id, admission.account_id) != (sale.sale_id, principal.subject_id):
        raise NotAdmitted("the pass is for another sale or another buyer")
    return admission


def _lines(order: NewOrder, prices: Mapping[str, int]) -> list[EntryLine]:
    """The lines in one canonical order, so that the same order always has the same fingerprint."""
    seen: set[str] = set()
    faults = []
    for place, line in enumerate(order.lines):
        if line.product_id in seen:
            faults.append(FieldFault(field=f"lines.{place}.product_id", message="must be named once only"))
        seen.add(line.product_id)
    if faults:
        raise BadFields(faults)
    entries = [
        EntryLine(
            product_id=line.product_id, quantity=line.quantity, unit_price=prices.get(line.product_id, 0)
        )
        for line in order.lines
    ]
    return sorted(entries, key=lambda line: line.product_id)


def _accepted_body(services: Services, entry: OrderEntry) -> OrderAccepted:
    """The 202, made of nothing but what was accepted: the same bytes however often it is asked for."""
    return OrderAccepted(
        order_id=entry.order_id,
        state=OrderState.QUEUED,
        receipt=sign_receipt(services.receipt_keys, receipt_of(entry)),
        href=f"/api/v1/orders/{entry.order_id}",
        poll_after_ms=POLL_AFTER_MS,
    )


# ---------------------------------------------------------------- looking


async def _find_queued(services: Services, principal: Principal, order_id: str) -> OrderEntry | None:
    """My order as some listed sale's lane remembers it. An order id does not say its sale, so every lane is asked."""
    if not can_be_an_id(order_id):
        return None
    entry = await services.lanes.peek_any(services.snapshot.going_on(), order_id)
    return entry if entry is not None and entry.account_id == principal.subject_id else None


async def _restored(services: Services, principal: Principal, order_id: str, token: str | None) -> OrderEntry:
    """My order as its receipt tells it, in its lane again."""
    if not token:
        raise UnknownOrder("there is no such order")
    receipt = read_receipt(services.receipt_keys, token, datetime.now(UTC))
    if (receipt.order_id, receipt.account_id) != (order_id, principal.subject_id):
        raise InvalidReceipt("the receipt is for another order or another buyer")
    if await services.lanes.restore(receipt.entry):
        services.bells.lane(receipt.sale_id)
    return receipt.entry


def order_body(order: read.Order) -> OrderBody:
    """A decided order as its buyer sees it."""
    return OrderBody(
        order_id=order.order_id,
        sale=order.sale,
        state=order.state,
        seq=order.seq,
        lines=[line_body(line) for line in order.lines],
        total=order.total,
        currency=order.currency,
        accepted_at=order.accepted_at,
        hold_expires_at=order.hold_expires_at,
        reason=order.reason,
        payment=_payment_body(order.payment) if order.payment else None,
        money=MoneyBody(**asdict(order.money)) if order.payment else None,
        poll_after_ms=PAYING_POLL_AFTER_MS if order.state is OrderState.PAYING else None,
    )


def line_body(line: read.OrderLine) -> OrderLineBody:
    """One line of an order."""
    return OrderLineBody(
        product_id=line.product_id, title=line.title, quantity=line.quantity, unit_price=line.unit_price
    )


def _payment_body(payment: read.OrderPayment) -> OrderPaymentBody:
    return OrderPaymentBody(
        payment_id=payment.payment_id,
        provider=payment.provider,
        state=payment.state,
        checkout_url=payment.checkout_url,
    )


# ---------------------------------------------------------------- cancelling


def _cancel(services: Services, account_id: str, order_id: str, queued: OrderEntry | None) -> bool:
    """In a thread: cancel, then tell the room."""
    cancelled = cancel.cancel_order(services.db, services.vault, account_id, order_id, queued)
    announce_ended(services, cancelled.ended, cancelled.sale_ids)
    if cancelled.asking:
        services.bells.outbox()
    return not cancelled.asking

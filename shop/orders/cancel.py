"""An order is given up before it is paid: by its buyer, or by an operator.

A queued order is entered as cancelled under its own id, and the drain passes over it. A reserved one is cancelled at once. While
a payment is open the provider has to be asked first: the wish is kept in the outbox and a worker carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from shop.errors import IllegalMove, InvalidFields
from shop.mail.effects import Effect, EffectFailed, Request, put_effects
from shop.mail.letters import Occasion
from shop.orders.changes import end_order, lock_order
from shop.orders.entry import EntryLine, OrderEntry
from shop.orders.letters import put_change_letter
from shop.orders.money import is_open, is_suspended, payment_states
from shop.orders.rules import HOLDING_STATES, OUTCOMES, Ended, OrderState, UnknownOrder, pass_claim
from shop.payments.ask import Answer, ask_provider
from shop.payments.providers import Providers
from shop.payments.rules import UnderReview
from shop.sales.audit import note
from shop.sales.rules import reason_faults
from shop.storage.columns import from_millis, to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import order_lines, orders, outbox, products, sale_items
from shop.vault import Vault

CANCEL = "cancel"  # the kind of outbox effect
CANCEL_ORDER = "cancel-order"  # the audited action; "cancel" is that of a whole sale
BUYER = "buyer"
_OFFERED = select(sale_items, products.c.title).join(
    products, products.c.product_id == sale_items.c.product_id
)


@dataclass(frozen=True, slots=True)
class _By:
    """Who cancels, as the ledger names them; a buyer only what is of the own account."""

    actor: str
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of the wish, and what the caller announces.

    `asking`: the order is paying and the provider is asked first; it ends later, or turns out to be paid. `new`: nobody had
    cancelled it before.
    """

    state: OrderState
    asking: bool = False
    new: bool = True
    ended: tuple[Ended, ...] = ()
    sale_ids: tuple[str, ...] = ()


def cancel_order(
    db: Database, vault: Vault, account_id: str, order_id: str, queued: OrderEntry | None = None
) -> Cancelled:
    """Cancel one of my orders. `queued` is its entry where the lane still knows it.

    Cancelling twice is the same as once. Raises `UnknownOrder`, `IllegalMove` naming both states, or its `UnderReview` while
    the shop has to look at money of another amount.
    """
    if queued is not None and (queued.account_id, queued.order_id) != (account_id, order_id):
        queued = None
    # A drain that decides the order at the same moment wins by its row; the second attempt then sees it.
    return db.run(_cancel, vault, _By(BUYER, account_id), order_id, queued)


def cancel_for_buyer(
    db: Database,
    vault: Vault,
    operator_id: str,
    order_id: str,
    reason: str,
    queued: OrderEntry | None = None,
) -> Cancelled:
    """An operator cancels an order, with a reason for others to read; audited, and twice is once. `queued` as in `cancel_order`.

    Raises as `cancel_order` does, or InvalidFields.
    """
    if faults := reason_faults(reason):
        raise InvalidFields(faults)

    def work(tx: Tx) -> Cancelled:
        cancelled = _cancel(tx, vault, _By(f"operator:{operator_id}"), order_id, queued)
        if cancelled.new:
            note(tx, operator_id, CANCEL_ORDER, order_id, {"reason": reason})
        return cancelled

    return db.run(work)


def cancel_effect(db: Database, vault: Vault, providers: Providers) -> Effect:
    """The function that carries out one `cancel`; its payload is `{"order_id": …, "actor": …}`.

    Raises EffectFailed to be tried again while the provider cannot be reached. What ended is found by the sweeper.
    """

    def cancel(payload: dict[str, Any]) -> None:
        answer = ask_provider(db, vault, providers, payload["order_id"]).answer
        if answer is Answer.UNREACHABLE:
            raise EffectFailed("the payment provider cannot be reached")
        if answer is Answer.CANCELLED:
            db.run(_cancel_unpaid, vault, payload["order_id"], payload.get("actor", BUYER))

    return cancel


def _cancel(tx: Tx, vault: Vault, by: _By, order_id: str, queued: OrderEntry | None) -> Cancelled:
    order = lock_order(tx, order_id)
    if order is None and queued is not None:
        return _enter_cancelled(tx, vault, queued, by.actor)
    if order is None or by.account_id not in (None, order.account_id):
        raise UnknownOrder("there is no such order")
    if is_suspended(payment_states(tx, order_id)):
        raise UnderReview("order", order.state, OrderState.CANCELLED)
    match OrderState(order.state):
        case OrderState.CANCELLED:
            return Cancelled(OrderState.CANCELLED, new=False)
        case OrderState.PAYING:
            wish = f"{CANCEL}:{order_id}:{to_millis(order.updated_at)}"
            asked = tx.scalar(select(outbox.c.outbox_id).where(outbox.c.dedupe == wish))
            put_effects(tx, vault, [Request(CANCEL, wish, {"order_id": order_id, "actor": by.actor})])
            return Cancelled(OrderState.PAYING, asking=True, new=asked is None)
        case OrderState.RESERVED:
            return _end(tx, vault, order, by.actor)
        case state:
            raise IllegalMove("order", state, OrderState.CANCELLED)


def _cancel_unpaid(tx: Tx, vault: Vault, order_id: str, actor: str) -> None:
    """Cancel an order none of whose payments is open any more, unless it went on meanwhile."""
    order = lock_order(tx, order_id)
    states = payment_states(tx, order_id)
    if order is None or order.state not in HOLDING_STATES or is_open(states) or is_suspended(states):
        return
    _end(tx, vault, order, actor)


def _end(tx: Tx, vault: Vault, order: Row[Any], actor: str) -> Cancelled:
    put_change_letter(tx, vault, order, OrderState.CANCELLED, _occasion(actor))
    ended = end_order(tx, order, OrderState.CANCELLED, reason="cancelled", actor=actor)
    return Cancelled(OrderState.CANCELLED, ended=(ended,), sale_ids=(order.sale_id,))


def _occasion(actor: str) -> Occasion:
    """Who did not cancel it is told who did."""
    return Occasion.ORDER_CANCELLED if actor == BUYER else Occasion.ORDER_CANCELLED_BY_SHOP


def _enter_cancelled(tx: Tx, vault: Vault, entry: OrderEntry, actor: str) -> Cancelled:
    """The rows of an order that was cancelled before its decision. It has no `seq`; its pass is used up.

    Its lines tell the buyer and the operator what it was; they take nothing.
    """
    claim = pass_claim(entry.sale_id, entry.pass_jti)
    taken = tx.scalar(select(orders.c.order_id).where(orders.c.pass_claim == claim))
    items = {row.product_id: row for row in tx.all(_OFFERED.where(sale_items.c.sale_id == entry.sale_id))}
    lines = [_line(entry, line, items[line.product_id]) for line in entry.lines if line.product_id in items]
    row = {
        "order_id": entry.order_id,
        "sale_id": entry.sale_id,
        "account_id": entry.account_id,
        "state": OrderState.CANCELLED,
        "pass_jti": entry.pass_jti,
        "pass_claim": None if taken else claim,
        "total": sum(line["quantity"] * line["unit_price"] for line in lines),
        "currency": next((item.currency for item in items.values()), "XXX"),
        "accepted_no": entry.accepted_no,
        "accepted_at": from_millis(entry.accepted_at_ms),
        "decided_at": tx.now,
        "updated_at": tx.now,
    }
    tx.insert(orders, [row])
    tx.insert(order_lines, lines)
    if (order := lock_order(tx, entry.order_id)) is not None:
        put_change_letter(tx, vault, order, OrderState.CANCELLED, _occasion(actor))
    ended = Ended(entry.sale_id, entry.order_id, entry.pass_jti, OUTCOMES[OrderState.CANCELLED])
    return Cancelled(OrderState.CANCELLED, ended=(ended,))


def _line(entry: OrderEntry, line: EntryLine, item: Row[Any]) -> dict[str, Any]:
    return {
        "order_id": entry.order_id,
        "sale_item_id": item.sale_item_id,
        "product_id": line.product_id,
        "title": item.title,
        "quantity": line.quantity,
        "unit_price": item.price,
    }

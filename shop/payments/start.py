"""Starting a payment: the attempt is committed first, then the provider is called outside any transaction, then its page is kept.

The attempt's row is the record behind the Idempotency-Key. Whatever dies in between, the row says what was begun; the next start
continues it under the same provider key, so that no order has two open payments and no buyer pays twice. Knows no HTTP.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, insert, select, update

from shop.errors import IllegalMove
from shop.orders.changes import lock_order, move_order
from shop.orders.rules import OrderState, UnknownOrder
from shop.payments.providers import Asked, Opened, Provider, Providers, provider_named
from shop.payments.rules import (
    ENDED_UNPAID,
    OPEN,
    Fact,
    KeyReused,
    PaymentState,
    ProviderRefused,
    ProviderUnavailable,
    Report,
    StillRunning,
    UnderReview,
    move,
)
from shop.payments.settle import settle_report
from shop.storage.database import Database, Tx
from shop.storage.tables import order_lines, orders, payments
from shop.vault import Vault

LEASE = timedelta(seconds=30)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """A buyer's wish to pay.

    `keys`: keyed hashes of (account, order, Idempotency-Key), the one to store first (more while keys are rotated);
    `request_hash`: of the request behind it. `provider` None is the first one configured. The browser comes back to
    `<return_base>/<provider>?order_id=…`. `guarantee_s`: so many seconds a buyer has at least, by extending the hold once.
    """

    order_id: str
    account_id: str
    keys: tuple[str, ...]
    request_hash: str
    return_base: str
    provider: str | None = None
    guarantee_s: int = 180


@dataclass(frozen=True, slots=True)
class Started:
    """A payment that waits for the buyer. `replayed`: this very request had started it before."""

    payment_id: str
    checkout_url: str
    expires_at: datetime
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Begun:
    """An attempt that is committed and leased to us: the provider is to be called now."""

    asked: Asked
    provider: str


def start_payment(db: Database, vault: Vault, providers: Providers, start: Start) -> Started:
    """Open a payment for a reserved order, or find the one that is open. Blocks for at most the provider's 5 s.

    Raises UnknownOrder, IllegalMove, UnknownProvider, KeyReused, StillRunning, or Unavailable (the same key continues it).
    """
    wanted = provider_named(providers, start.provider or next(iter(providers), ""))
    begun = db.run(_begin, start, wanted.name, secrets.token_urlsafe(12))
    if isinstance(begun, Started):
        return begun
    provider = provider_named(providers, begun.provider)
    payment_id = begun.asked.payment_id
    try:
        opened = provider.start(begun.asked)
    except ProviderUnavailable:
        db.run(_end_lease, payment_id)
        raise
    except ProviderRefused as error:
        log.error(
            "payment_refused_by_provider", provider=provider.name, payment_id=payment_id, what=error.what
        )
        settle_report(db, vault, payment_id, Report(Fact.FAILED, begun.asked.amount, begun.asked.currency))
        raise
    return _keep(db, provider, payment_id, opened)


def _begin(tx: Tx, start: Start, provider: str, payment_id: str) -> Started | _Begun:
    """Find the attempt that this start means, or commit a new one; leased to us, unless its page is known already."""
    order = lock_order(tx, start.order_id)
    if order is None or order.account_id != start.account_id:
        raise UnknownOrder("there is no such order")
    attempts = tx.all(select(payments).where(payments.c.order_id == start.order_id))
    same = next((row for row in attempts if row.idempotency_key in start.keys), None)
    if same is not None and same.request_hash != start.request_hash:
        raise KeyReused("this Idempotency-Key belongs to another request")
    if same is not None and same.checkout_url is not None:
        return Started(same.payment_id, same.checkout_url, same.expires_at, replayed=True)
    if same is not None and same.state in ENDED_UNPAID:
        # It ended before it had an answer to repeat, so its key is free for another attempt.
        tx.execute(_this(same.payment_id).values(idempotency_key=same.payment_id))
    opened = next((row for row in attempts if row.state in OPEN), None)
    if opened is not None:
        return _continue(tx, opened, start)
    if any(row.state == PaymentState.SUSPENSE for row in attempts):
        raise UnderReview("order", order.state, OrderState.PAYING)
    return _begin_new(tx, order, start, provider, payment_id)


def _continue(tx: Tx, attempt: Row[Any], start: Start) -> Started | _Begun:
    if attempt.checkout_url is not None:
        return Started(attempt.payment_id, attempt.checkout_url, attempt.expires_at, replayed=False)
    if attempt.lease_until is not None and attempt.lease_until > tx.now:
        raise StillRunning(math.ceil((attempt.lease_until - tx.now).total_seconds()))
    tx.execute(_this(attempt.payment_id).values(lease_until=tx.now + LEASE))
    return _begun(tx, attempt.payment_id, start)


def _begin_new(tx: Tx, order: Row[Any], start: Start, provider: str, payment_id: str) -> _Begun:
    now = tx.now
    if order.state == OrderState.RESERVED and (order.hold_expires_at is None or order.hold_expires_at <= now):
        raise IllegalMove("order", OrderState.EXPIRED, OrderState.PAYING)  # the sweep has not come by yet
    until, extended = _guaranteed(order, now, start.guarantee_s)
    move_order(tx, order, OrderState.PAYING, hold_expires_at=until, hold_extended=extended)
    row = {
        "payment_id": payment_id,
        "order_id": order.order_id,
        "account_id": order.account_id,
        "provider": provider,
        "state": PaymentState.CREATED,
        "amount": order.total,
        "currency": order.currency,
        "idempotency_key": start.keys[0],
        "request_hash": start.request_hash,
        "lease_until": now + LEASE,
        "created_at": now,
        "expires_at": until,
        "updated_at": now,
    }
    tx.execute(insert(payments).values(row))
    return _begun(tx, payment_id, start)


def _guaranteed(order: Row[Any], now: datetime, guarantee_s: int) -> tuple[datetime | None, bool]:
    """The end of the hold: long enough to pay, but lengthened once only."""
    enough = now + timedelta(seconds=guarantee_s)
    if order.hold_extended or order.hold_expires_at is None or order.hold_expires_at >= enough:
        return order.hold_expires_at, order.hold_extended
    return enough, True


def _begun(tx: Tx, payment_id: str, start: Start) -> _Begun:
    row = tx.one(select(payments).where(payments.c.payment_id == payment_id))
    lines = select(order_lines.c.title, order_lines.c.quantity).where(order_lines.c.order_id == row.order_id)
    titles = [f"{line.title} × {line.quantity}" for line in tx.all(lines.order_by(order_lines.c.product_id))]
    asked = Asked(
        payment_id=row.payment_id,
        amount=row.amount,
        currency=row.currency,
        title=", ".join(titles)[:200],
        return_url=f"{start.return_base}/{row.provider}?order_id={row.order_id}",
        expires_at=row.expires_at,
    )
    return _Begun(asked, row.provider)


def _keep(db: Database, provider: Provider, payment_id: str, opened: Opened) -> Started:
    kept = db.run(_keep_page, payment_id, opened)
    if isinstance(kept, Started):
        return kept
    try:  # somebody ended the attempt meanwhile; nobody has its page, so nobody can have paid
        provider.cancel(payment_id, opened.provider_ref)
    except (ProviderUnavailable, ProviderRefused) as error:
        log.warning("payment_left_open", provider=provider.name, payment_id=payment_id, what=error.what)
    raise IllegalMove("payment", kept, PaymentState.PENDING)


def _keep_page(tx: Tx, payment_id: str, opened: Opened) -> Started | str:
    """Keep the provider's answer and call the attempt pending if nothing else is known of it; else the state it ended in."""
    order_id = tx.scalar(select(payments.c.order_id).where(payments.c.payment_id == payment_id))
    tx.execute(select(orders.c.order_id).where(orders.c.order_id == order_id).with_for_update())
    row = tx.one(select(payments).where(payments.c.payment_id == payment_id))
    state = PaymentState(row.state)
    values: dict[str, Any] = {"provider_ref": opened.provider_ref, "lease_until": None, "updated_at": tx.now}
    if state in ENDED_UNPAID:
        tx.execute(_this(payment_id).values(values))
        return state
    if state is PaymentState.CREATED:
        values["state"] = move(state, PaymentState.PENDING)
    tx.execute(_this(payment_id).values(values | {"checkout_url": opened.checkout_url}))
    return Started(payment_id, opened.checkout_url, row.expires_at, replayed=False)


def _end_lease(tx: Tx, payment_id: str) -> None:
    """The call is over without an answer; whoever asks next may make it again at once."""
    still = (payments.c.payment_id == payment_id) & (payments.c.state == PaymentState.CREATED)
    tx.execute(update(payments).where(still).values(lease_until=None))


def _this(payment_id: str) -> Any:
    return update(payments).where(payments.c.payment_id == payment_id)

"""My own data: read, change, erase."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from shop.accounts.codes import drop_codes
from shop.accounts.kit import AccountKit
from shop.accounts.rules import (
    OrdersOpen,
    UnknownAccount,
    locale_faults,
    name_faults,
    phone_faults,
    refuse,
)
from shop.accounts.sessions import end_all_sessions
from shop.orders.rules import OrderState
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, addresses, cart_items, orders
from shop.vault import place

# Stock is held, money is moving or goods are on their way: without the person nobody could bring these to an end.
OPEN_ORDERS = (
    OrderState.RESERVED,
    OrderState.PAYING,
    OrderState.REFUNDING,
    OrderState.FULFILLING,
    OrderState.SHIPPED,
    OrderState.RETURN_REQUESTED,
)


@dataclass(frozen=True, slots=True)
class Me:
    """A buyer's own data, decrypted. `phone` may be empty."""

    account_id: str
    email: str = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)
    locale: str
    verified: bool
    created_at: datetime


def read_me(db: Database, kit: AccountKit, account_id: str) -> Me:
    """My data. Raises UnknownAccount, also once erased."""
    live = (accounts.c.account_id == account_id) & accounts.c.erased_at.is_(None)
    row = db.read(lambda tx: tx.first(select(accounts).where(live)))
    if row is None:
        raise UnknownAccount("no such account")
    return Me(
        account_id,
        _open(kit, "email_sealed", row),
        _open(kit, "name_sealed", row),
        _open(kit, "phone_sealed", row),
        row.locale,
        row.verified_at is not None,
        row.created_at,
    )


def change_me(
    db: Database,
    kit: AccountKit,
    account_id: str,
    *,
    name: str | None = None,
    phone: str | None = None,
    locale: str | None = None,
) -> None:
    """Change what is given (None: leave it; an empty phone removes it). Raises InvalidFields, UnknownAccount."""
    refuse(
        name_faults(name) if name is not None else iter(()),
        phone_faults(phone or ""),
        locale_faults(locale) if locale is not None else iter(()),
    )
    values: dict[str, Any] = {}
    if name is not None:
        values["name_sealed"] = kit.vault.seal(name.strip(), place("accounts.name_sealed", account_id))
    if phone is not None:
        sealed = kit.vault.seal(phone, place("accounts.phone_sealed", account_id))
        values["phone_sealed"] = sealed if phone else None
    if locale is not None:
        values["locale"] = locale
    db.run(_change, account_id, values)


def erase_me(db: Database, account_id: str) -> None:
    """Erase every personal field of an account, for good; repeating it changes nothing.

    Raises OrdersOpen while stock, money or goods of an order are on their way, UnknownAccount. Orders stay as bare books without
    a person in them; an order that waits in a lane meanwhile is rejected as `account_closed`.
    """
    db.run(_erase, account_id)


def _open(kit: AccountKit, column: str, row: Row[Any]) -> str:
    sealed = getattr(row, column)
    return "" if sealed is None else kit.vault.open(sealed, place(f"accounts.{column}", row.account_id))


def _change(tx: Tx, account_id: str, values: dict[str, Any]) -> None:
    live = (accounts.c.account_id == account_id) & accounts.c.erased_at.is_(None)
    # Without values it still has to find the account.
    wanted = values or {"account_id": account_id}
    if tx.execute(update(accounts).where(live).values(wanted)).rowcount != 1:
        raise UnknownAccount("no such account")


def _erase(tx: Tx, account_id: str) -> None:
    mine = accounts.c.account_id == account_id
    account = tx.first(select(accounts.c.erased_at).where(mine).with_for_update())
    if account is None:
        raise UnknownAccount("no such account")
    if account.erased_at is not None:
        return
    still_open = (orders.c.account_id == account_id) & orders.c.state.in_(OPEN_ORDERS)
    if tx.first(select(orders.c.order_id).where(still_open).limit(1)) is not None:
        raise OrdersOpen("an order is still open: it has to be paid, cancelled, delivered or refunded first")
    nothing = dict.fromkeys(
        ("email_lookup", "email_sealed", "name_sealed", "phone_sealed", "password_hash", "verified_at")
    )
    tx.execute(update(accounts).where(mine).values(**nothing, erased_at=tx.now))
    tx.execute(delete(addresses).where(addresses.c.account_id == account_id))
    tx.execute(delete(cart_items).where(cart_items.c.account_id == account_id))
    tx.execute(update(orders).where(orders.c.account_id == account_id).values(address_sealed=None))
    drop_codes(tx, account_id)
    end_all_sessions(tx, account_id)

"""The address book of a buyer. Every address is sealed and opens for its owner only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select, update

from shop.accounts.kit import AccountKit
from shop.accounts.rules import (
    Address,
    TooManyAddresses,
    UnknownAccount,
    UnknownAddress,
    address_faults,
    decode_address,
    encode_address,
    refuse,
)
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, addresses
from shop.vault import Vault, place

MOST = 20


@dataclass(frozen=True, slots=True)
class SavedAddress:
    """An address in a book."""

    address_id: str
    address: Address = field(repr=False)


def list_addresses(db: Database, kit: AccountKit, account_id: str) -> list[SavedAddress]:
    """All of them, the oldest first."""
    mine = select(addresses).where(addresses.c.account_id == account_id)
    rows = db.read(lambda tx: tx.all(mine.order_by(addresses.c.created_at, addresses.c.address_id)))
    return [
        SavedAddress(row.address_id, _open(kit.vault, row.address_id, row.address_sealed)) for row in rows
    ]


def add_address(db: Database, kit: AccountKit, account_id: str, address: Address) -> str:
    """Returns the new address_id. Raises InvalidFields, TooManyAddresses, UnknownAccount."""
    refuse(address_faults(address))
    return db.run(_add, kit.vault, account_id, address)


def change_address(db: Database, kit: AccountKit, account_id: str, address_id: str, address: Address) -> None:
    """Replace an address. Raises InvalidFields, UnknownAddress."""
    refuse(address_faults(address))
    sealed = _seal(kit.vault, address_id, address)
    mine = (addresses.c.address_id == address_id) & (addresses.c.account_id == account_id)
    if (
        db.run(lambda tx: tx.execute(update(addresses).where(mine).values(address_sealed=sealed)).rowcount)
        != 1
    ):
        raise UnknownAddress("no such address")


def delete_address(db: Database, account_id: str, address_id: str) -> None:
    """Remove an address; orders keep their own copy. Raises UnknownAddress."""
    mine = (addresses.c.address_id == address_id) & (addresses.c.account_id == account_id)
    if db.run(lambda tx: tx.execute(delete(addresses).where(mine)).rowcount) != 1:
        raise UnknownAddress("no such address")


def address_of(tx: Tx, vault: Vault, account_id: str, address_id: str) -> Address | None:
    """One address of this account, or None."""
    mine = (addresses.c.address_id == address_id) & (addresses.c.account_id == account_id)
    sealed = tx.scalar(select(addresses.c.address_sealed).where(mine))
    return None if sealed is None else _open(vault, address_id, sealed)


def address_for_order(vault: Vault, sealed: bytes, address_id: str, order_id: str) -> bytes:
    """The order's own copy of a sealed address; it opens at `orders.address_sealed` of that order only."""
    text = vault.open(sealed, place("addresses.address_sealed", address_id))
    return vault.seal(text, place("orders.address_sealed", order_id))


def insert_address(tx: Tx, vault: Vault, account_id: str, address: Address) -> str:
    """Add a checked address to an account that is known to exist."""
    address_id = secrets.token_urlsafe(12)
    row = {
        "address_id": address_id,
        "account_id": account_id,
        "address_sealed": _seal(vault, address_id, address),
        "created_at": tx.now,
    }
    tx.insert(addresses, [row])
    return address_id


def _add(tx: Tx, vault: Vault, account_id: str, address: Address) -> str:
    # The lock keeps the count right and an erasure from passing by.
    live = (accounts.c.account_id == account_id) & accounts.c.erased_at.is_(None)
    if tx.first(select(accounts.c.account_id).where(live).with_for_update()) is None:
        raise UnknownAccount("no such account")
    count = select(func.count()).select_from(addresses).where(addresses.c.account_id == account_id)
    if tx.scalar(count) >= MOST:
        raise TooManyAddresses(f"an address book holds at most {MOST} addresses")
    return insert_address(tx, vault, account_id, address)


def _seal(vault: Vault, address_id: str, address: Address) -> bytes:
    return vault.seal(encode_address(address), place("addresses.address_sealed", address_id))


def _open(vault: Vault, address_id: str, sealed: bytes) -> Address:
    return decode_address(vault.open(sealed, place("addresses.address_sealed", address_id)))

"""Finding a person by address, and an address by account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, select

from shop.accounts.kit import AccountKit
from shop.storage.database import Tx
from shop.storage.tables import accounts, operators
from shop.vault import Vault, place


@dataclass(frozen=True, slots=True)
class Contact:
    """Where and in which language to write to somebody."""

    email: str = field(repr=False)
    locale: str


def contact_of(tx: Tx, vault: Vault, account_id: str) -> Contact | None:
    """How to reach an account; None once it is erased."""
    columns = (accounts.c.email_sealed, accounts.c.locale)
    row = tx.first(select(*columns).where(accounts.c.account_id == account_id))
    if row is None or row.email_sealed is None:
        return None
    return Contact(vault.open(row.email_sealed, place("accounts.email_sealed", account_id)), row.locale)


def find_account(tx: Tx, kit: AccountKit, email: str, *, lock: bool = False) -> Row[Any] | None:
    """The row of the account with this address, also while look-up keys are being rotated; `lock` keeps it for us."""
    found = select(accounts).where(accounts.c.email_lookup.in_(kit.lookup.candidates(email)))
    return tx.first(found.with_for_update() if lock else found)


def find_operator(tx: Tx, kit: AccountKit, email: str) -> Row[Any] | None:
    """The row of the operator with this address."""
    return tx.first(select(operators).where(operators.c.email_lookup.in_(kit.lookup.candidates(email))))

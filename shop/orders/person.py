"""Whose order it is: personal data, opened for an operator who needs it, each look written down; masked for everybody else."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, null, select

from shop.accounts.contact import find_account
from shop.accounts.kit import AccountKit
from shop.accounts.rules import Address, decode_address
from shop.orders.rules import UnknownOrder
from shop.sales import audit
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, orders
from shop.vault import place


@dataclass(frozen=True, slots=True)
class Person:
    """A buyer and where the order goes. Everything is empty once the account was erased; `address` is None where nothing is sent."""

    email: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    address: Address | None = field(default=None, repr=False)


def open_person(
    db: Database, kit: AccountKit, operator_id: str, order_id: str, account_id: str | None = None
) -> Person:
    """The buyer of an order as they are; the look is audited in the same transaction. Raises `UnknownOrder`.

    `account_id`: whose it is, of an order that is not decided yet.
    """
    return db.run(_open_person, kit, operator_id, order_id, account_id)


def note_export(db: Database, operator_id: str, subject: str) -> None:
    """Write down that an operator takes the buyers of many orders along: of a sale, or of all."""
    db.run(audit.note, operator_id, "export-persons", subject, {})


def open_persons(db: Database, kit: AccountKit, order_ids: Collection[str]) -> dict[str, Person]:
    """The buyers of these orders, for an export that `note_export` has noted."""
    return db.read(_persons, kit, order_ids)


def masked_person(db: Database, kit: AccountKit, order_id: str, account_id: str | None = None) -> Person:
    """So much of the buyer that two people can be told apart, and nobody can be reached. As `open_person` otherwise."""
    whole = db.read(_person, kit, order_id, account_id)
    address = whole.address
    return Person(
        masked_email(whole.email),
        masked(whole.name),
        masked(whole.phone),
        address
        and Address(
            recipient=masked(address.recipient),
            line1=masked(address.line1),
            city=address.city,
            postcode=masked(address.postcode),
            country=address.country,
        ),
    )


def masked(text: str) -> str:
    """The first letter, and three dots whatever the length; empty stays empty."""
    return f"{text[0]}…" if text else ""


def masked_email(email: str) -> str:
    """First letters of mailbox and domain, and the domain's end."""
    mailbox, _, domain = email.rpartition("@")
    return f"{masked(mailbox)}@{masked(domain)}.{domain.rpartition('.')[2]}" if domain else masked(email)


def find_buyer(db: Database, kit: AccountKit, operator_id: str, email: str) -> str | None:
    """The account with this address, None when there is none; the search is audited without the address."""
    return db.run(_find_buyer, kit, operator_id, email)


def _find_buyer(tx: Tx, kit: AccountKit, operator_id: str, email: str) -> str | None:
    account = find_account(tx, kit, email)
    if account is None:
        return None
    audit.note(tx, operator_id, "find-buyer", account.account_id, {})
    return str(account.account_id)


def _open_person(tx: Tx, kit: AccountKit, operator_id: str, order_id: str, account_id: str | None) -> Person:
    person = _person(tx, kit, order_id, account_id)
    audit.note(tx, operator_id, "open-person", order_id, {})
    return person


def _person(tx: Tx, kit: AccountKit, order_id: str, account_id: str | None) -> Person:
    found = _persons(tx, kit, [order_id]).get(order_id)
    if found is None and account_id is not None:
        nowhere = null().label("address_sealed")  # the address is copied with the decision
        row = tx.first(select(accounts, nowhere).where(accounts.c.account_id == account_id))
        found = None if row is None else _opened(kit, row)
    if found is None:
        raise UnknownOrder("there is no such order")
    return found


def _persons(tx: Tx, kit: AccountKit, order_ids: Collection[str]) -> dict[str, Person]:
    columns = (accounts, orders.c.order_id, orders.c.address_sealed)
    whose = (
        select(*columns)
        .select_from(orders)
        .outerjoin(accounts, accounts.c.account_id == orders.c.account_id)
        .where(orders.c.order_id.in_(order_ids))
    )
    return {row.order_id: _opened(kit, row) for row in tx.all(whose)}


def _opened(kit: AccountKit, row: Row[Any]) -> Person:
    def opened(name: str) -> str:
        sealed = row._mapping[name]
        return "" if sealed is None else kit.vault.open(sealed, place(f"accounts.{name}", row.account_id))

    address = None
    if row.address_sealed is not None:
        address = decode_address(
            kit.vault.open(row.address_sealed, place("orders.address_sealed", row.order_id))
        )
    return Person(opened("email_sealed"), opened("name_sealed"), opened("phone_sealed"), address)

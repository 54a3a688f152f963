"""Signing up and confirming the address.

A stranger learns nothing about who has an account: the answer and the hashing are the same, and only the mail, which the owner
of the address reads, tells the difference. A code confirms exactly the sign-up that it was sent for: while the address is not
confirmed, a later sign-up replaces the earlier one together with its code.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, update

from shop.accounts.addresses import insert_address
from shop.accounts.codes import Purpose, new_code, try_code
from shop.accounts.contact import find_account
from shop.accounts.kit import AccountKit
from shop.accounts.rules import (
    Address,
    BadCode,
    address_faults,
    email_faults,
    locale_faults,
    name_faults,
    password_faults,
    phone_faults,
    refuse,
)
from shop.mail.letters import Letter, Occasion
from shop.mail.outbox import put_mail
from shop.storage.columns import to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts, addresses
from shop.vault import place


@dataclass(frozen=True, slots=True)
class _SignUp:
    email: str = field(repr=False)
    password_hash: str = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)
    address: Address | None = field(repr=False)
    locale: str


def sign_up(
    db: Database,
    kit: AccountKit,
    email: str,
    password: str,
    name: str,
    phone: str = "",
    address: Address | None = None,
    locale: str = "en",
) -> str:
    """Ask for an account; returns its id, or for a known address an id that leads nowhere. Hashes once (slow).

    Raises InvalidFields. What happens next is in the mail: a code, or that the address has an account already.
    """
    wanted = _checked(kit, email, password, name, phone, address, locale)
    return db.run(_sign_up, kit, wanted)


def create_verified_account(
    db: Database, kit: AccountKit, email: str, password: str, name: str, locale: str = "en"
) -> str:
    """An account whose address needs no confirming (demo, load tests); the id of the one that is there already if so."""
    known = db.read(find_account, kit, email)
    if known is not None:
        return str(known.account_id)
    wanted = _checked(kit, email, password, name, "", None, locale)

    def create(tx: Tx) -> str:
        account_id = _insert(tx, kit, wanted)
        tx.execute(update(accounts).where(accounts.c.account_id == account_id).values(verified_at=tx.now))
        return account_id

    return db.run(create)


def verify(db: Database, kit: AccountKit, email: str, code: str) -> None:
    """Confirm an address by the code sent there. Raises BadCode. Once right, the same code stays right (a repeat is harmless)."""
    if not db.run(_verify, kit, email, code):
        raise BadCode("wrong code")


def send_code_again(db: Database, kit: AccountKit, email: str) -> None:
    """Mail a new code to an address that is not confirmed yet, at most one a minute; says nothing about whether it did."""
    db.run(_send_code_again, kit, email)


def _checked(
    kit: AccountKit, email: str, password: str, name: str, phone: str, address: Address | None, locale: str
) -> _SignUp:
    refuse(
        email_faults(email),
        password_faults(password, email),
        name_faults(name),
        phone_faults(phone),
        locale_faults(locale),
        address_faults(address, "address.") if address else iter(()),
    )
    return _SignUp(email.strip(), kit.hasher.hash(password), name.strip(), phone, address, locale)


def _sign_up(tx: Tx, kit: AccountKit, wanted: _SignUp) -> str:
    known = find_account(tx, kit, wanted.email, lock=True)
    if known is None:
        account_id = _insert(tx, kit, wanted)
        _mail_code(tx, kit, account_id)
        return account_id
    if known.verified_at is not None:
        minute = to_millis(tx.now) // 60_000
        letter = Letter(known.account_id, Occasion.ALREADY_REGISTERED)
        put_mail(tx, kit.vault, letter, f"known:{known.account_id}:{minute}")
    elif _mail_code(tx, kit, known.account_id):
        _replace(tx, kit, known.account_id, wanted)
    return secrets.token_urlsafe(12)


def _insert(tx: Tx, kit: AccountKit, wanted: _SignUp) -> str:
    account_id = secrets.token_urlsafe(12)
    identity = {
        "account_id": account_id,
        "email_lookup": kit.lookup.of(wanted.email),
        "email_sealed": kit.vault.seal(wanted.email, place("accounts.email_sealed", account_id)),
        "created_at": tx.now,
    }
    tx.insert(accounts, [identity | _details(kit, account_id, wanted)])
    if wanted.address:
        insert_address(tx, kit.vault, account_id, wanted.address)
    return account_id


def _replace(tx: Tx, kit: AccountKit, account_id: str, wanted: _SignUp) -> None:
    tx.execute(
        update(accounts).where(accounts.c.account_id == account_id).values(_details(kit, account_id, wanted))
    )
    tx.execute(delete(addresses).where(addresses.c.account_id == account_id))
    if wanted.address:
        insert_address(tx, kit.vault, account_id, wanted.address)


def _details(kit: AccountKit, account_id: str, wanted: _SignUp) -> dict[str, Any]:
    phone = wanted.phone and kit.vault.seal(wanted.phone, place("accounts.phone_sealed", account_id))
    return {
        "name_sealed": kit.vault.seal(wanted.name, place("accounts.name_sealed", account_id)),
        "phone_sealed": phone or None,
        "password_hash": wanted.password_hash,
        "locale": wanted.locale,
    }


def _mail_code(tx: Tx, kit: AccountKit, account_id: str) -> bool:
    code = new_code(tx, kit, account_id, Purpose.VERIFY)
    if code is None:
        return False
    letter = Letter(account_id, Occasion.VERIFY_CODE, {"code": code})
    put_mail(tx, kit.vault, letter, f"verify:{account_id}:{to_millis(tx.now)}")
    return True


def _verify(tx: Tx, kit: AccountKit, email: str, code: str) -> bool:
    account = find_account(tx, kit, email)
    if account is None or not try_code(tx, kit, account.account_id, Purpose.VERIFY, code):
        return False
    fresh = (accounts.c.account_id == account.account_id) & accounts.c.verified_at.is_(None)
    tx.execute(update(accounts).where(fresh).values(verified_at=tx.now))
    return True


def _send_code_again(tx: Tx, kit: AccountKit, email: str) -> None:
    account = find_account(tx, kit, email, lock=True)
    if account is not None and account.verified_at is None:
        _mail_code(tx, kit, account.account_id)

"""A new password for somebody who has lost the old one, by a code sent to the address."""

from __future__ import annotations

from sqlalchemy import update

from shop.accounts.codes import Purpose, drop_codes, new_code, try_code
from shop.accounts.contact import find_account
from shop.accounts.kit import AccountKit
from shop.accounts.rules import BadCode, password_faults, refuse
from shop.accounts.sessions import end_all_sessions
from shop.mail.letters import Letter, Occasion
from shop.mail.outbox import put_mail
from shop.storage.columns import to_millis
from shop.storage.database import Database, Tx
from shop.storage.tables import accounts


def request_reset(db: Database, kit: AccountKit, email: str) -> None:
    """Mail a code to this address if it has an account, at most one a minute; says nothing about whether it did."""
    db.run(_request, kit, email)


def confirm_reset(db: Database, kit: AccountKit, email: str, code: str, password: str) -> None:
    """Set a new password and end every session. Hashes once (slow). Raises InvalidFields, BadCode.

    The code went to the address, so it also confirms an address that was not confirmed yet.
    """
    refuse(password_faults(password, email))
    if not db.run(_confirm, kit, email, code, kit.hasher.hash(password)):
        raise BadCode("wrong code")


def _request(tx: Tx, kit: AccountKit, email: str) -> None:
    account = find_account(tx, kit, email, lock=True)
    code = account and new_code(tx, kit, account.account_id, Purpose.RESET)
    if account and code:
        letter = Letter(account.account_id, Occasion.RESET_CODE, {"code": code})
        put_mail(tx, kit.vault, letter, f"reset:{account.account_id}:{to_millis(tx.now)}")


def _confirm(tx: Tx, kit: AccountKit, email: str, code: str, password_hash: str) -> bool:
    account = find_account(tx, kit, email, lock=True)
    if account is None or not try_code(tx, kit, account.account_id, Purpose.RESET, code):
        return False
    values = {"password_hash": password_hash, "verified_at": account.verified_at or tx.now}
    tx.execute(update(accounts).where(accounts.c.account_id == account.account_id).values(values))
    end_all_sessions(tx, account.account_id)
    drop_codes(tx, account.account_id)
    return True

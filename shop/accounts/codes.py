"""One-time codes by mail: eight digits, half an hour, five tries, at most one new code a minute.

Only a keyed hash is stored, so that a stolen table gives nobody a code (there are few enough codes to try them all).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import delete, select, update

from shop.accounts.kit import AccountKit
from shop.storage.database import Tx
from shop.storage.tables import account_codes

DIGITS = 8
LIFE = timedelta(minutes=30)
TRIES = 5
PAUSE = timedelta(minutes=1)


class Purpose(StrEnum):
    """What a code is good for."""

    VERIFY = "verify"
    RESET = "reset"


def new_code(tx: Tx, kit: AccountKit, account_id: str, purpose: Purpose) -> str | None:
    """A fresh code that replaces the last one; None while that one is younger than a minute."""
    mine = (account_codes.c.account_id == account_id) & (account_codes.c.purpose == purpose)
    made_at = tx.scalar(select(account_codes.c.created_at).where(mine).with_for_update())
    if made_at is not None and tx.now - made_at < PAUSE:
        return None
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    values = {
        "code_hash": _hash(kit, account_id, purpose, code),
        "attempts_left": TRIES,
        "created_at": tx.now,
        "expires_at": tx.now + LIFE,
    }
    if made_at is None:
        tx.insert(account_codes, [{"account_id": account_id, "purpose": purpose, **values}])
    else:
        tx.execute(update(account_codes).where(mine).values(values))
    return code


def try_code(tx: Tx, kit: AccountKit, account_id: str, purpose: Purpose, code: str) -> bool:
    """Whether this is the code. The try is used up either way, so the caller commits even when it refuses."""
    mine = (account_codes.c.account_id == account_id) & (account_codes.c.purpose == purpose)
    usable = mine & (account_codes.c.attempts_left > 0) & (account_codes.c.expires_at > tx.now)
    used = update(account_codes).where(usable).values(attempts_left=account_codes.c.attempts_left - 1)
    if tx.execute(used).rowcount != 1:
        return False
    stored = tx.scalar(select(account_codes.c.code_hash).where(mine))
    digits = "".join(char for char in code if char not in " -")
    return hmac.compare_digest(stored, _hash(kit, account_id, purpose, digits))


def drop_codes(tx: Tx, account_id: str, purpose: Purpose | None = None) -> None:
    """Forget the codes of an account, of one purpose or all."""
    mine = account_codes.c.account_id == account_id
    tx.execute(
        delete(account_codes).where(mine if purpose is None else mine & (account_codes.c.purpose == purpose))
    )


def _hash(kit: AccountKit, account_id: str, purpose: Purpose, code: str) -> str:
    text = f"code|{purpose}|{account_id}|{code}"
    return hmac.new(kit.code_key, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()

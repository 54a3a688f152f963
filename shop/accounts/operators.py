"""The people who run sales. They are created on the command line, sign in apart from buyers, and are disabled, never deleted."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, update

from shop.accounts.contact import find_operator
from shop.accounts.kit import AccountKit
from shop.accounts.rules import (
    OperatorExists,
    Role,
    UnknownOperator,
    email_faults,
    name_faults,
    password_faults,
    refuse,
    role_faults,
)
from shop.accounts.sessions import end_all_sessions, operator_sign_in
from shop.storage.database import Database, Tx
from shop.storage.tables import operators
from shop.vault import place

__all__ = ["Operator", "create_operator", "disable_operator", "list_operators", "operator_sign_in"]


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator, decrypted."""

    operator_id: str
    email: str = field(repr=False)
    name: str = field(repr=False)
    role: Role
    created_at: datetime
    disabled_at: datetime | None


def create_operator(db: Database, kit: AccountKit, email: str, password: str, name: str, role: str) -> str:
    """Returns the operator_id. Raises InvalidFields, OperatorExists."""
    refuse(email_faults(email), password_faults(password, email), name_faults(name), role_faults(role))
    return db.run(_create, kit, email.strip(), kit.hasher.hash(password), name.strip(), Role(role))


def disable_operator(db: Database, operator_id: str) -> None:
    """No more sign-ins, every session ended; repeating it changes nothing. Raises UnknownOperator."""
    db.run(_disable, operator_id)


def list_operators(db: Database, kit: AccountKit) -> list[Operator]:
    """All of them, the oldest first."""
    rows = db.read(lambda tx: tx.all(select(operators).order_by(operators.c.created_at)))
    return [
        Operator(
            row.operator_id,
            kit.vault.open(row.email_sealed, place("operators.email_sealed", row.operator_id)),
            kit.vault.open(row.name_sealed, place("operators.name_sealed", row.operator_id)),
            Role(row.role),
            row.created_at,
            row.disabled_at,
        )
        for row in rows
    ]


def _create(tx: Tx, kit: AccountKit, email: str, password_hash: str, name: str, role: Role) -> str:
    if find_operator(tx, kit, email) is not None:
        raise OperatorExists("there is an operator with this address")
    operator_id = secrets.token_urlsafe(12)
    row = {
        "operator_id": operator_id,
        "email_lookup": kit.lookup.of(email),
        "email_sealed": kit.vault.seal(email, place("operators.email_sealed", operator_id)),
        "name_sealed": kit.vault.seal(name, place("operators.name_sealed", operator_id)),
        "password_hash": password_hash,
        "role": role,
        "created_at": tx.now,
    }
    tx.insert(operators, [row])
    return operator_id


def _disable(tx: Tx, operator_id: str) -> None:
    mine = operators.c.operator_id == operator_id
    row = tx.first(select(operators.c.disabled_at).where(mine).with_for_update())
    if row is None:
        raise UnknownOperator("no such operator")
    if row.disabled_at is None:
        tx.execute(update(operators).where(mine).values(disabled_at=tx.now))
    end_all_sessions(tx, operator_id)

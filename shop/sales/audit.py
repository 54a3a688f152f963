"""Who changed what and when: one row for every change that an operator makes, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from shop.storage.database import Database, Tx
from shop.storage.tables import audit


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change. `detail` holds plain JSON values and no personal data."""

    audit_id: int
    operator_id: str
    action: str
    subject: str
    detail: dict[str, Any]
    at: datetime


def note(tx: Tx, operator_id: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    """Write one row."""
    row = {
        "operator_id": operator_id,
        "action": action,
        "subject": subject,
        "detail": dict(detail),
        "at": tx.now,
    }
    tx.insert(audit, [row])


def list_audit(
    db: Database,
    *,
    subject: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[AuditRow]:
    """The latest changes, newest first, up to `limit` <= 200 with an `audit_id` below `before`, of one subject or action."""
    query = select(audit).order_by(audit.c.audit_id.desc()).limit(max(1, min(limit, 200)))
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    if action is not None:
        query = query.where(audit.c.action == action)
    if before is not None:
        query = query.where(audit.c.audit_id < before)
    rows: Sequence[Row[Any]] = db.read(lambda tx: tx.all(query))
    return [AuditRow(**row._mapping) for row in rows]

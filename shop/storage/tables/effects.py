"""What is still to be done outside: mail and refunds."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String

from shop.storage.columns import Counter, Id, Instant, Sealed
from shop.storage.tables.table import table

outbox = table(
    "outbox",
    Column("outbox_id", Counter, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),  # mail | refund
    Column("dedupe", Id(128), nullable=False, unique=True),
    Column("payload_sealed", Sealed(8192), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=True),
    Column("done_at", Instant, nullable=True),
    Column("dead_at", Instant, nullable=True),
    Column("last_error", String(200), nullable=True),
    Column("created_at", Instant, nullable=False),
    Index(None, "done_at", "due_at"),
)

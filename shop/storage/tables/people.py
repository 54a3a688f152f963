"""Accounts of buyers and operators, their sessions, and what operators did."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, PrimaryKeyConstraint, String

from shop.storage.columns import Counter, Id, Instant, Sealed
from shop.storage.tables.table import table

accounts = table(
    "accounts",
    Column("account_id", Id(), primary_key=True),
    Column("email_lookup", Id(64), nullable=True, unique=True),  # NULL once erased
    Column("email_sealed", Sealed(512), nullable=True),
    Column("name_sealed", Sealed(512), nullable=True),
    Column("phone_sealed", Sealed(256), nullable=True),
    Column("password_hash", String(255), nullable=True),
    Column("locale", String(8), nullable=False, default="en"),
    Column("verified_at", Instant, nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("erased_at", Instant, nullable=True),
)

account_codes = table(  # one-time codes by mail, stored hashed
    "account_codes",
    Column("account_id", Id(), nullable=False),
    Column("purpose", String(16), nullable=False),  # verify | reset
    Column("code_hash", Id(64), nullable=False),
    Column("attempts_left", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    PrimaryKeyConstraint("account_id", "purpose"),
)

addresses = table(
    "addresses",
    Column("address_id", Id(), primary_key=True),
    Column("account_id", Id(), nullable=False, index=True),
    # JSON: recipient, line1, line2, city, postcode, country, phone
    Column("address_sealed", Sealed(2048), nullable=False),
    Column("created_at", Instant, nullable=False),
)

sessions = table(  # a family of rotating refresh tokens
    "sessions",
    Column("session_id", Id(), primary_key=True),
    Column("subject_id", Id(), nullable=False, index=True),  # account_id or operator_id
    Column("subject_kind", String(16), nullable=False),  # buyer | operator
    Column("refresh_hash", Id(64), nullable=True),
    Column("previous_hash", Id(64), nullable=True),
    Column("rotated_at", Instant, nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant, nullable=True),
)

operators = table(
    "operators",
    Column("operator_id", Id(), primary_key=True),
    Column("email_lookup", Id(64), nullable=False, unique=True),
    Column("email_sealed", Sealed(512), nullable=False),
    Column("name_sealed", Sealed(512), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("role", String(16), nullable=False),  # viewer | operator | admin
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant, nullable=True),
)

audit = table(  # every change that an operator makes
    "audit",
    Column("audit_id", Counter, primary_key=True, autoincrement=True),
    Column("operator_id", Id(), nullable=False),
    Column("action", String(48), nullable=False),
    Column("subject", String(64), nullable=False, index=True),
    Column("detail", JSON, nullable=False),
    Column("at", Instant, nullable=False),
)

"""Attempts to pay, and the callbacks of payment providers."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Text, UniqueConstraint

from shop.storage.columns import Counter, Id, Instant
from shop.storage.tables.table import table

payments = table(  # a row per attempt, committed before the provider is called
    "payments",
    Column("payment_id", Id(), primary_key=True),
    Column("order_id", Id(), nullable=False, index=True),
    Column("account_id", Id(), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("provider_ref", String(128), nullable=True),
    Column("state", String(20), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("captured", BigInteger, nullable=False, default=0),
    Column("refunded", BigInteger, nullable=False, default=0),
    # what shall be back in all once the refund asked for is through
    Column("refund_until", BigInteger, nullable=True),
    # in which currency money came, where it is another than that of the order
    Column("captured_currency", String(3), nullable=True),
    # the most that its provider has said to have given back, where that is above what was paid
    Column("refund_claimed", BigInteger, nullable=False, server_default="0"),
    Column("checkout_url", String(500), nullable=True),
    Column("review_reason", String(32), nullable=True),
    Column("idempotency_key", Id(64), nullable=False),  # keyed hash of (account, order, Idempotency-Key)
    Column("request_hash", Id(64), nullable=False),
    Column("lease_until", Instant, nullable=True),
    # paid for an expired order, which is to be decided again
    Column("late_at", Instant, nullable=True, index=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=True),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("idempotency_key"),
    UniqueConstraint("provider", "provider_ref"),
)

payment_events = table(  # the inbox of callbacks
    "payment_events",
    Column("inbox_id", Counter, primary_key=True, autoincrement=True),
    Column("provider", String(32), nullable=False),
    Column("event_id", Id(128), nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("payment_id", Id(), nullable=True, index=True),
    Column("verdict", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    UniqueConstraint("provider", "event_id", name="uq_payment_events_once"),
)

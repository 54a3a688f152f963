"""Lanes, the orders that were decided in them, and the stock that orders hold."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
)

from shop.storage.columns import Counter, Id, Instant, Sealed
from shop.storage.tables.table import table

lanes = table(  # one row a sale: the lock that makes decisions one by one, and the last seq given
    "lanes",
    Column("sale_id", Id(), primary_key=True),
    Column("seq", BigInteger, nullable=False, default=0),
    # The highest accepted_no among the decided, and when the lane was first opened: from then on a store without its mark has lost it.
    Column("accepted_no", BigInteger, nullable=False, server_default="0"),
    Column("opened_at", Instant, nullable=True),
)

lane_attempts = table(  # entries whose decision failed while the database answered
    "lane_attempts",
    Column("order_id", Id(), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("at", Instant, nullable=False),
)

orders = table(
    "orders",
    Column("order_id", Id(), primary_key=True),
    Column("sale_id", Id(), nullable=False),
    Column("account_id", Id(), nullable=False),
    # gap-free in each sale; NULL when cancelled before its decision
    Column("seq", BigInteger, nullable=True),
    Column("state", String(20), nullable=False),
    Column("reason", String(32), nullable=True),
    Column("review_reason", String(32), nullable=True),
    Column("pass_jti", Id(64), nullable=False),
    Column("pass_claim", Id(96), nullable=True),  # sale + jti while the pass is used up, NULL once given back
    Column("total", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("address_sealed", Sealed(2048), nullable=True),
    Column("accepted_no", BigInteger, nullable=False),
    Column("accepted_at", Instant, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("hold_expires_at", Instant, nullable=True),
    Column("hold_extended", Boolean, nullable=False, default=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("pass_claim", name="uq_orders_one_pass_buys_once"),
    UniqueConstraint("sale_id", "seq", name="uq_orders_decided_one_by_one"),
    Index(None, "account_id", "accepted_at"),
    Index(None, "state", "hold_expires_at"),
)

order_lines = table(
    "order_lines",
    Column("order_id", Id(), nullable=False),
    Column("sale_item_id", BigInteger, nullable=False),
    Column("product_id", Id(), nullable=False),
    Column("title", String(200), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", BigInteger, nullable=False),
    PrimaryKeyConstraint("order_id", "product_id"),
    Index(None, "sale_item_id"),
)

reservations = table(
    "reservations",
    Column("reservation_id", Counter, primary_key=True, autoincrement=True),
    Column("order_id", Id(), nullable=False, index=True),
    Column("sale_item_id", BigInteger, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # held | committed | released | returned
    Column("reason", String(32), nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index(None, "sale_item_id", "state"),
)

"""Sales, their stock, and every movement of it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)

from shop.storage.columns import Counter, Id, Instant
from shop.storage.tables.table import table

sales = table(
    "sales",
    Column("sale_id", Id(), primary_key=True),  # immutable; the hash tag of its Redis keys
    Column("slug", Id(64), nullable=False, unique=True),
    Column("title", String(200), nullable=False),
    Column("mode", String(8), nullable=False),  # fifo | draw
    # draft | running | paused | halted | draining | closed | cancelled
    Column("control", String(16), nullable=False),
    Column("lobby_opens_at", Instant, nullable=False),
    Column("opens_at", Instant, nullable=False),
    Column("closes_at", Instant, nullable=False),
    Column("calls_per_minute", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("turn_window_s", Integer, nullable=False),
    Column("comeback_s", Integer, nullable=False),
    Column("hold_s", Integer, nullable=False),
    Column("pass_s", Integer, nullable=False),
    # in hundredths: 100 = no over-call, 200 = at most twice the free units
    Column("over_call_limit", Integer, nullable=False),
    Column("message_ko", String(500), nullable=True),
    Column("message_en", String(500), nullable=True),
    # a device may wait without an account
    Column("guests", Boolean, nullable=False, server_default=text("0")),
    Column("challenge", Boolean, nullable=False, server_default=text("0")),  # everybody solves one to join
    # the key ring entry that signs this sale's tickets, fixed for its life
    Column("ticket_key_id", Id(), nullable=False),
    Column("next_number", BigInteger, nullable=False, default=1),  # first number that no block has taken yet
    Column("version", Integer, nullable=False, default=1),  # the ETag; every change of a setting adds one
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=True),
)

sale_items = table(
    "sale_items",
    Column("sale_item_id", Counter, primary_key=True, autoincrement=True),
    Column("sale_id", Id(), nullable=False),
    Column("product_id", Id(), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("limit_per_buyer", Integer, nullable=False),
    Column("allotted", Integer, nullable=False),
    Column("held", Integer, nullable=False, default=0),
    Column("sold", Integer, nullable=False, default=0),
    # adds one with every change of the counters; orders the copies
    Column("version", BigInteger, nullable=False, default=0),
    UniqueConstraint("sale_id", "product_id"),
    CheckConstraint("held >= 0 AND sold >= 0 AND held + sold <= allotted", name="stock_never_oversold"),
    CheckConstraint("limit_per_buyer > 0", name="limit_per_buyer_positive"),
)

stock_ledger = table(  # append-only: every movement of a counter above
    "stock_ledger",
    Column("entry_id", Counter, primary_key=True, autoincrement=True),
    Column("sale_item_id", BigInteger, nullable=False),
    Column("order_id", Id(), nullable=True),
    Column("delta_allotted", Integer, nullable=False, default=0),
    Column("delta_held", Integer, nullable=False, default=0),
    Column("delta_sold", Integer, nullable=False, default=0),
    Column("reason", String(32), nullable=False),
    # drain | sweep | buyer | provider:<name> | operator:<id> | demo
    Column("actor", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "sale_item_id", "entry_id"),
    Index(None, "order_id"),
)

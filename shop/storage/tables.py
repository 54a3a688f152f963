"""Every table of the shop. Constraints that enforce a law carry its name.

Money is an integer in minor units of `currency`; times are `Instant`s (UTC). Personal fields end in `_sealed` (encrypted) or
`_lookup` (keyed hash). State columns hold the lower-case words of the state tables in each subject's `rules.py`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from shop.storage.columns import Counter, Id, Instant, Sealed

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# ---------------------------------------------------------------- accounts

accounts = Table(
    "accounts",
    metadata,
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

account_codes = Table(  # one-time codes by mail, stored hashed
    "account_codes",
    metadata,
    Column("account_id", Id(), nullable=False),
    Column("purpose", String(16), nullable=False),  # verify | reset
    Column("code_hash", Id(64), nullable=False),
    Column("attempts_left", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    PrimaryKeyConstraint("account_id", "purpose"),
)

addresses = Table(
    "addresses",
    metadata,
    Column("address_id", Id(), primary_key=True),
    Column("account_id", Id(), nullable=False, index=True),
    Column(
        "address_sealed", Sealed(2048), nullable=False
    ),  # JSON: recipient, line1, line2, city, postcode, country, phone
    Column("created_at", Instant, nullable=False),
)

sessions = Table(  # a family of rotating refresh tokens
    "sessions",
    metadata,
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

operators = Table(
    "operators",
    metadata,
    Column("operator_id", Id(), primary_key=True),
    Column("email_lookup", Id(64), nullable=False, unique=True),
    Column("email_sealed", Sealed(512), nullable=False),
    Column("name_sealed", Sealed(512), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("role", String(16), nullable=False),  # viewer | operator | admin
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant, nullable=True),
)

audit = Table(  # every change that an operator makes
    "audit",
    metadata,
    Column("audit_id", Counter, primary_key=True, autoincrement=True),
    Column("operator_id", Id(), nullable=False),
    Column("action", String(48), nullable=False),
    Column("subject", String(64), nullable=False, index=True),
    Column("detail", JSON, nullable=False),
    Column("at", Instant, nullable=False),
)

# ---------------------------------------------------------------- catalogue, cart

products = Table(
    "products",
    metadata,
    Column("product_id", Id(), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("image", String(64), nullable=True),  # a file name below /static/products
    Column("on_hand", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("on_hand >= 0", name="on_hand_never_negative"),
    CheckConstraint("price >= 0", name="product_price_never_negative"),
)

cart_items = Table(
    "cart_items",
    metadata,
    Column("account_id", Id(), nullable=False),
    Column("product_id", Id(), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
    PrimaryKeyConstraint("account_id", "product_id"),
    CheckConstraint("quantity > 0", name="cart_quantity_positive"),
)

# ---------------------------------------------------------------- sales and their stock

sales = Table(
    "sales",
    metadata,
    Column("sale_id", Id(), primary_key=True),  # immutable; the hash tag of its Redis keys
    Column("slug", Id(64), nullable=False, unique=True),
    Column("title", String(200), nullable=False),
    Column("mode", String(8), nullable=False),  # fifo | draw
    Column(
        "control", String(16), nullable=False
    ),  # draft | running | paused | halted | draining | closed | cancelled
    Column("lobby_opens_at", Instant, nullable=False),
    Column("opens_at", Instant, nullable=False),
    Column("closes_at", Instant, nullable=False),
    Column("calls_per_minute", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("turn_window_s", Integer, nullable=False),
    Column("comeback_s", Integer, nullable=False),
    Column("hold_s", Integer, nullable=False),
    Column("pass_s", Integer, nullable=False),
    Column(
        "over_call_limit", Integer, nullable=False
    ),  # in hundredths: 100 = no over-call, 200 = at most twice the free units
    Column("message_ko", String(500), nullable=True),
    Column("message_en", String(500), nullable=True),
    Column(
        "guests", Boolean, nullable=False, server_default=text("0")
    ),  # a device may wait without an account
    Column("challenge", Boolean, nullable=False, server_default=text("0")),  # everybody solves one to join
    Column(
        "ticket_key_id", Id(), nullable=False
    ),  # the key ring entry that signs this sale's tickets, fixed for its life
    Column("next_number", BigInteger, nullable=False, default=1),  # first number that no block has taken yet
    Column("version", Integer, nullable=False, default=1),  # the ETag; every change of a setting adds one
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=True),
)

sale_items = Table(
    "sale_items",
    metadata,
    Column("sale_item_id", Counter, primary_key=True, autoincrement=True),
    Column("sale_id", Id(), nullable=False),
    Column("product_id", Id(), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("limit_per_buyer", Integer, nullable=False),
    Column("allotted", Integer, nullable=False),
    Column("held", Integer, nullable=False, default=0),
    Column("sold", Integer, nullable=False, default=0),
    Column(
        "version", BigInteger, nullable=False, default=0
    ),  # adds one with every change of the counters; orders the copies
    UniqueConstraint("sale_id", "product_id"),
    CheckConstraint("held >= 0 AND sold >= 0 AND held + sold <= allotted", name="stock_never_oversold"),
    CheckConstraint("limit_per_buyer > 0", name="limit_per_buyer_positive"),
)

stock_ledger = Table(  # append-only: every movement of a counter above
    "stock_ledger",
    metadata,
    Column("entry_id", Counter, primary_key=True, autoincrement=True),
    Column("sale_item_id", BigInteger, nullable=False),
    Column("order_id", Id(), nullable=True),
    Column("delta_allotted", Integer, nullable=False, default=0),
    Column("delta_held", Integer, nullable=False, default=0),
    Column("delta_sold", Integer, nullable=False, default=0),
    Column("reason", String(32), nullable=False),
    Column(
        "actor", String(64), nullable=False
    ),  # drain | sweep | buyer | provider:<name> | operator:<id> | demo
    Column("at", Instant, nullable=False),
    Index(None, "sale_item_id", "entry_id"),
    Index(None, "order_id"),
)

draws = Table(  # one row for each sale that is drawn; what is public about it stands beside the sealed seed
    "draws",
    metadata,
    Column("sale_id", Id(), primary_key=True),
    Column("commitment", Id(64), nullable=False),
    Column("seed_sealed", Sealed(256), nullable=False),
    Column("opened_at", Instant, nullable=True),
    Column("published_at", Instant, nullable=True),  # from then on everybody may know seed and list
    Column("size", Integer, nullable=True),
    Column("list_hash", Id(64), nullable=True),
)

draw_pages = Table(  # the list of a draw: ids in the order of their scores, each followed by a newline
    "draw_pages",
    metadata,
    Column("sale_id", Id(), nullable=False),
    Column("page", Integer, nullable=False),
    Column("tickets", Integer, nullable=False),
    Column("ids", LargeBinary(60_000), nullable=False),
    PrimaryKeyConstraint("sale_id", "page"),
)

number_marks = Table(  # about once a second while people join: up to which number the line had given
    "number_marks",
    metadata,
    Column("sale_id", Id(), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("sale_id", "number"),
)

call_log = Table(  # copied from Redis: every call, claim, miss, lapse and freed slot
    "call_log",
    metadata,
    Column("sale_id", Id(), nullable=False),
    Column(
        "entry_id", Id(64), nullable=False
    ),  # store id + the stream's own entry id: copying twice changes nothing
    Column("event", String(16), nullable=False),
    Column("ticket_id", Id(), nullable=False),
    Column("number", BigInteger, nullable=True),
    Column("turn", Integer, nullable=True),
    Column("detail", String(64), nullable=True),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("sale_id", "entry_id"),
    Index(None, "sale_id", "at"),
    Index(None, "sale_id", "ticket_id"),
)

# ---------------------------------------------------------------- orders

lanes = Table(  # one row a sale: the lock that makes decisions one by one, and the last seq given
    "lanes",
    metadata,
    Column("sale_id", Id(), primary_key=True),
    Column("seq", BigInteger, nullable=False, default=0),
    # The highest accepted_no among the decided, and when the lane was first opened: from then on a store without its mark has lost it.
    Column("accepted_no", BigInteger, nullable=False, server_default="0"),
    Column("opened_at", Instant, nullable=True),
)

lane_attempts = Table(  # entries whose decision failed while the database answered
    "lane_attempts",
    metadata,
    Column("order_id", Id(), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("at", Instant, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Id(), primary_key=True),
    Column("sale_id", Id(), nullable=False),
    Column("account_id", Id(), nullable=False),
    Column(
        "seq", BigInteger, nullable=True
    ),  # gap-free in each sale; NULL when cancelled before its decision
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

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", Id(), nullable=False),
    Column("sale_item_id", BigInteger, nullable=False),
    Column("product_id", Id(), nullable=False),
    Column("title", String(200), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", BigInteger, nullable=False),
    PrimaryKeyConstraint("order_id", "product_id"),
    Index(None, "sale_item_id"),
)

reservations = Table(
    "reservations",
    metadata,
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

# ---------------------------------------------------------------- payments

payments = Table(  # a row per attempt, committed before the provider is called
    "payments",
    metadata,
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
    Column(
        "refund_until", BigInteger, nullable=True
    ),  # what shall be back in all once the refund asked for is through
    Column("checkout_url", String(500), nullable=True),
    Column("review_reason", String(32), nullable=True),
    Column("idempotency_key", Id(64), nullable=False),  # keyed hash of (account, order, Idempotency-Key)
    Column("request_hash", Id(64), nullable=False),
    Column("lease_until", Instant, nullable=True),
    Column(
        "late_at", Instant, nullable=True, index=True
    ),  # paid for an expired order, which is to be decided again
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=True),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("idempotency_key"),
    UniqueConstraint("provider", "provider_ref"),
)

payment_events = Table(  # the inbox of callbacks
    "payment_events",
    metadata,
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

# ---------------------------------------------------------------- effects outside

outbox = Table(
    "outbox",
    metadata,
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

# MariaDB still defaults to latin1, which has no Korean, and a server may default to an engine without transactions.
for _table in metadata.tables.values():
    for _server in ("mysql", "mariadb"):
        _table.dialect_kwargs[f"{_server}_engine"] = "InnoDB"
        _table.dialect_kwargs[f"{_server}_charset"] = "utf8mb4"

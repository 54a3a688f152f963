"""The first schema: accounts, catalogue, sales and their stock, orders, payments, outbox.

Revision ID: 0001
Revises: none
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from shop.storage.columns import Counter, Id, Instant, Sealed

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERVER: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def upgrade() -> None:
    """Make every table."""
    _accounts()
    _catalogue()
    _sales()
    _orders()
    _payments()


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", Id(32), nullable=False),
        sa.Column("email_lookup", Id(64), nullable=True),
        sa.Column("email_sealed", Sealed(512), nullable=True),
        sa.Column("name_sealed", Sealed(512), nullable=True),
        sa.Column("phone_sealed", Sealed(256), nullable=True),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("locale", sa.String(length=8), nullable=False),
        sa.Column("verified_at", Instant, nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("erased_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email_lookup", name=op.f("uq_accounts_email_lookup")),
        **SERVER,
    )
    op.create_table(
        "account_codes",
        sa.Column("account_id", Id(32), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("code_hash", Id(64), nullable=False),
        sa.Column("attempts_left", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "purpose", name=op.f("pk_account_codes")),
        **SERVER,
    )
    op.create_table(
        "addresses",
        sa.Column("address_id", Id(32), nullable=False),
        sa.Column("account_id", Id(32), nullable=False),
        sa.Column("address_sealed", Sealed(2048), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("address_id", name=op.f("pk_addresses")),
        **SERVER,
    )
    op.create_index(op.f("ix_addresses_account_id"), "addresses", ["account_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("session_id", Id(32), nullable=False),
        sa.Column("subject_id", Id(32), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("refresh_hash", Id(64), nullable=True),
        sa.Column("previous_hash", Id(64), nullable=True),
        sa.Column("rotated_at", Instant, nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("revoked_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_sessions")),
        **SERVER,
    )
    op.create_index(op.f("ix_sessions_subject_id"), "sessions", ["subject_id"], unique=False)
    op.create_table(
        "operators",
        sa.Column("operator_id", Id(32), nullable=False),
        sa.Column("email_lookup", Id(64), nullable=False),
        sa.Column("email_sealed", Sealed(512), nullable=False),
        sa.Column("name_sealed", Sealed(512), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("disabled_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operators")),
        sa.UniqueConstraint("email_lookup", name=op.f("uq_operators_email_lookup")),
        **SERVER,
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", Counter, autoincrement=True, nullable=False),
        sa.Column("operator_id", Id(32), nullable=False),
        sa.Column("action", sa.String(length=48), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        **SERVER,
    )
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"], unique=False)


def _catalogue() -> None:
    op.create_table(
        "products",
        sa.Column("product_id", Id(32), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("image", sa.String(length=64), nullable=True),
        sa.Column("on_hand", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.CheckConstraint("on_hand >= 0", name=op.f("ck_on_hand_never_negative")),
        sa.CheckConstraint("price >= 0", name=op.f("ck_product_price_never_negative")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_products")),
        **SERVER,
    )
    op.create_table(
        "cart_items",
        sa.Column("account_id", Id(32), nullable=False),
        sa.Column("product_id", Id(32), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_cart_quantity_positive")),
        sa.PrimaryKeyConstraint("account_id", "product_id", name=op.f("pk_cart_items")),
        **SERVER,
    )


def _sales() -> None:
    op.create_table(
        "sales",
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("slug", Id(64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("control", sa.String(length=16), nullable=False),
        sa.Column("lobby_opens_at", Instant, nullable=False),
        sa.Column("opens_at", Instant, nullable=False),
        sa.Column("closes_at", Instant, nullable=False),
        sa.Column("calls_per_minute", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("turn_window_s", sa.Integer(), nullable=False),
        sa.Column("comeback_s", sa.Integer(), nullable=False),
        sa.Column("hold_s", sa.Integer(), nullable=False),
        sa.Column("pass_s", sa.Integer(), nullable=False),
        sa.Column("over_call_limit", sa.Integer(), nullable=False),
        sa.Column("message_ko", sa.String(length=500), nullable=True),
        sa.Column("message_en", sa.String(length=500), nullable=True),
        sa.Column("ticket_key_id", Id(32), nullable=False),
        sa.Column("next_number", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("closed_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("sale_id", name=op.f("pk_sales")),
        sa.UniqueConstraint("slug", name=op.f("uq_sales_slug")),
        **SERVER,
    )
    op.create_table(
        "sale_items",
        sa.Column("sale_item_id", Counter, autoincrement=True, nullable=False),
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("product_id", Id(32), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("limit_per_buyer", sa.Integer(), nullable=False),
        sa.Column("allotted", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("sold", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "held >= 0 AND sold >= 0 AND held + sold <= allotted", name=op.f("ck_stock_never_oversold")
        ),
        sa.CheckConstraint("limit_per_buyer > 0", name=op.f("ck_limit_per_buyer_positive")),
        sa.PrimaryKeyConstraint("sale_item_id", name=op.f("pk_sale_items")),
        sa.UniqueConstraint("sale_id", "product_id", name=op.f("uq_sale_items_sale_id_product_id")),
        **SERVER,
    )
    op.create_table(
        "stock_ledger",
        sa.Column("entry_id", Counter, autoincrement=True, nullable=False),
        sa.Column("sale_item_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", Id(32), nullable=True),
        sa.Column("delta_allotted", sa.Integer(), nullable=False),
        sa.Column("delta_held", sa.Integer(), nullable=False),
        sa.Column("delta_sold", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_stock_ledger")),
        **SERVER,
    )
    op.create_index(op.f("ix_stock_ledger_order_id"), "stock_ledger", ["order_id"], unique=False)
    op.create_index(
        op.f("ix_stock_ledger_sale_item_id_entry_id"),
        "stock_ledger",
        ["sale_item_id", "entry_id"],
        unique=False,
    )
    op.create_table(
        "call_log",
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("entry_id", Id(64), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("ticket_id", Id(32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=True),
        sa.Column("detail", sa.String(length=64), nullable=True),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("sale_id", "entry_id", name=op.f("pk_call_log")),
        **SERVER,
    )
    op.create_index(op.f("ix_call_log_sale_id_at"), "call_log", ["sale_id", "at"], unique=False)


def _orders() -> None:
    op.create_table(
        "lanes",
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sale_id", name=op.f("pk_lanes")),
        **SERVER,
    )
    op.create_table(
        "lane_attempts",
        sa.Column("order_id", Id(32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_lane_attempts")),
        **SERVER,
    )
    op.create_table(
        "orders",
        sa.Column("order_id", Id(32), nullable=False),
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("account_id", Id(32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("review_reason", sa.String(length=32), nullable=True),
        sa.Column("pass_jti", Id(64), nullable=False),
        sa.Column("pass_claim", Id(96), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("address_sealed", Sealed(2048), nullable=True),
        sa.Column("accepted_no", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", Instant, nullable=False),
        sa.Column("decided_at", Instant, nullable=False),
        sa.Column("hold_expires_at", Instant, nullable=True),
        sa.Column("hold_extended", sa.Boolean(), nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
        sa.UniqueConstraint("pass_claim", name="uq_orders_one_pass_buys_once"),
        sa.UniqueConstraint("sale_id", "seq", name="uq_orders_decided_one_by_one"),
        **SERVER,
    )
    op.create_index(
        op.f("ix_orders_account_id_accepted_at"), "orders", ["account_id", "accepted_at"], unique=False
    )
    op.create_index(
        op.f("ix_orders_state_hold_expires_at"), "orders", ["state", "hold_expires_at"], unique=False
    )
    op.create_table(
        "order_lines",
        sa.Column("order_id", Id(32), nullable=False),
        sa.Column("sale_item_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", Id(32), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "product_id", name=op.f("pk_order_lines")),
        **SERVER,
    )
    op.create_index(op.f("ix_order_lines_sale_item_id"), "order_lines", ["sale_item_id"], unique=False)
    op.create_table(
        "reservations",
        sa.Column("reservation_id", Counter, autoincrement=True, nullable=False),
        sa.Column("order_id", Id(32), nullable=False),
        sa.Column("sale_item_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("reservation_id", name=op.f("pk_reservations")),
        **SERVER,
    )
    op.create_index(op.f("ix_reservations_order_id"), "reservations", ["order_id"], unique=False)
    op.create_index(
        op.f("ix_reservations_sale_item_id_state"), "reservations", ["sale_item_id", "state"], unique=False
    )


def _payments() -> None:
    op.create_table(
        "payments",
        sa.Column("payment_id", Id(32), nullable=False),
        sa.Column("order_id", Id(32), nullable=False),
        sa.Column("account_id", Id(32), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("provider_ref", sa.String(length=128), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("checkout_url", sa.String(length=500), nullable=True),
        sa.Column("review_reason", sa.String(length=32), nullable=True),
        sa.Column("idempotency_key", Id(64), nullable=False),
        sa.Column("request_hash", Id(64), nullable=False),
        sa.Column("lease_until", Instant, nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=True),
        sa.Column("updated_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payments")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_payments_idempotency_key")),
        sa.UniqueConstraint("provider", "provider_ref", name=op.f("uq_payments_provider_provider_ref")),
        **SERVER,
    )
    op.create_index(op.f("ix_payments_order_id"), "payments", ["order_id"], unique=False)
    op.create_table(
        "payment_events",
        sa.Column("inbox_id", Counter, autoincrement=True, nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("event_id", Id(128), nullable=False),
        sa.Column("event_type", sa.String(length=64), nullable=False),
        sa.Column("payment_id", Id(32), nullable=True),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("received_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", name=op.f("pk_payment_events")),
        sa.UniqueConstraint("provider", "event_id", name="uq_payment_events_once"),
        **SERVER,
    )
    op.create_index(op.f("ix_payment_events_payment_id"), "payment_events", ["payment_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("outbox_id", Counter, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("dedupe", Id(128), nullable=False),
        sa.Column("payload_sealed", Sealed(8192), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("lease_until", Instant, nullable=True),
        sa.Column("done_at", Instant, nullable=True),
        sa.Column("dead_at", Instant, nullable=True),
        sa.Column("last_error", sa.String(length=200), nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("dedupe", name=op.f("uq_outbox_dedupe")),
        **SERVER,
    )
    op.create_index(op.f("ix_outbox_done_at_due_at"), "outbox", ["done_at", "due_at"], unique=False)

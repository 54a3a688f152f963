"""Draws: the sealed seed of a sale that is drawn, and the list of its lobby.

Revision ID: 0002
Revises: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from shop.storage.columns import Id, Instant, Sealed

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SERVER: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "draws",
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("commitment", Id(64), nullable=False),
        sa.Column("seed_sealed", Sealed(256), nullable=False),
        sa.Column("opened_at", Instant, nullable=True),
        sa.Column("published_at", Instant, nullable=True),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("list_hash", Id(64), nullable=True),
        sa.PrimaryKeyConstraint("sale_id", name=op.f("pk_draws")),
        **SERVER,
    )
    op.create_table(
        "draw_pages",
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.Column("ids", sa.LargeBinary(60_000), nullable=False),
        sa.PrimaryKeyConstraint("sale_id", "page", name=op.f("pk_draw_pages")),
        **SERVER,
    )

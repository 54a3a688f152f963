"""When the line had given which numbers, so that a report can say how long people waited.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from shop.storage.columns import Id, Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "number_marks",
        sa.Column("sale_id", Id(32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("sale_id", "number", name=op.f("pk_number_marks")),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
    )

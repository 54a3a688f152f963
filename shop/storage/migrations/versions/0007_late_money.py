"""Since when money that came after its hold waits to be decided on.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and its index."""
    op.add_column("payments", sa.Column("late_at", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_payments_late_at"), "payments", ["late_at"])

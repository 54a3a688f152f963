"""How much a provider has claimed to have given back above what was paid, so that the same claim is looked at once.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "payments", sa.Column("refund_claimed", sa.BigInteger(), nullable=False, server_default="0")
    )

"""How much of a payment shall be back once a refund that the shop has asked for is through.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("payments", sa.Column("refund_until", sa.BigInteger(), nullable=True))

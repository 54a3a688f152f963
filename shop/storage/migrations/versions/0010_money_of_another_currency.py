"""In which currency the money of a payment came, where it is another than the order's.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("payments", sa.Column("captured_currency", sa.String(3), nullable=True))

"""Whether a sale lets devices wait without an account, and whether everybody solves a challenge to join.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both switches, off."""
    for name in ("guests", "challenge"):
        op.add_column("sales", sa.Column(name, sa.Boolean(), server_default=sa.text("0"), nullable=False))

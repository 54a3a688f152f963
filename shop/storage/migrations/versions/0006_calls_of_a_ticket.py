"""The calls of one ticket are found without reading those of all.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index(op.f("ix_call_log_sale_id_ticket_id"), "call_log", ["sale_id", "ticket_id"])

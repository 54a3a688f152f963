"""What tells a lane that was emptied from one that is new, and how far its orders were numbered.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from shop.storage.columns import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; lanes that are there count on from what was decided."""
    op.add_column("lanes", sa.Column("accepted_no", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("lanes", sa.Column("opened_at", Instant(), nullable=True))
    op.execute(
        "UPDATE lanes SET accepted_no = COALESCE("
        "(SELECT MAX(orders.accepted_no) FROM orders WHERE orders.sale_id = lanes.sale_id), 0)"
    )

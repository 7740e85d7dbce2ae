"""Attempts begun by customers who call us.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("inbound", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.alter_column("attempts", "inbound", server_default=None)


def downgrade() -> None:
    op.drop_column("attempts", "inbound")

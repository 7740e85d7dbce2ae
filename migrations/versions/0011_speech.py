"""Answers may be said as well as keyed.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("speech", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.alter_column("campaigns", "speech", server_default=None)


def downgrade() -> None:
    op.drop_column("campaigns", "speech")

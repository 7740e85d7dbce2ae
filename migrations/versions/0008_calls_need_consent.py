"""A campaign may call only those who agreed to be called.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "campaigns", sa.Column("calls_need_consent", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.alter_column("campaigns", "calls_need_consent", server_default=None)


def downgrade() -> None:
    op.drop_column("campaigns", "calls_need_consent")

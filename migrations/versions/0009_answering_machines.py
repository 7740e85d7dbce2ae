"""What a campaign does about answering machines.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("machine_detection", sa.String(40), nullable=False, server_default="off"))
    op.add_column(
        "campaigns", sa.Column("voicemail_message", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.create_check_constraint("machinedetection", "campaigns", "machine_detection IN ('off', 'sync', 'async')")
    for column in ("machine_detection", "voicemail_message"):
        op.alter_column("campaigns", column, server_default=None)


def downgrade() -> None:
    op.drop_column("campaigns", "voicemail_message")
    op.drop_column("campaigns", "machine_detection")

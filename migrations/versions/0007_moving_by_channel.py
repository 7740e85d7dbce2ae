"""Attempts on their way are found by channel: links that are out would hide the few calls among them.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ON_THEIR_WAY = "state IN ('queued', 'dialling', 'underway')"


def upgrade() -> None:
    op.drop_index("ix_attempts_moving", table_name="attempts")
    op.create_index(
        "ix_attempts_moving", "attempts", ["channel", "state", "started_at"], postgresql_where=ON_THEIR_WAY
    )


def downgrade() -> None:
    op.drop_index("ix_attempts_moving", table_name="attempts")
    op.create_index("ix_attempts_moving", "attempts", ["state", "started_at"], postgresql_where=ON_THEIR_WAY)

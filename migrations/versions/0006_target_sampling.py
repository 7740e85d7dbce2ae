"""target sampling: for which week a campaign's rates were set last

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("rates_set_for", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("campaigns", "rates_set_for")

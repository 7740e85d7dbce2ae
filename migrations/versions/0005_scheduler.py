"""scheduler: what a campaign may say, paces, breakers, the end of the hours a call was begun in

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What campaigns made before had, each column by its type.
LIKE_BEFORE = (
    ("sampling", sa.String(length=40), "fixed"),
    ("floor_numerator", sa.BigInteger(), "1"),
    ("floor_denominator", sa.BigInteger(), "100"),
    ("ceiling_numerator", sa.BigInteger(), "1"),
    ("ceiling_denominator", sa.BigInteger(), "1"),
    ("queues", postgresql.JSONB(astext_type=sa.Text()), "[]"),
    ("topics", postgresql.JSONB(astext_type=sa.Text()), "[]"),
    ("hours_by_weekday", postgresql.JSONB(astext_type=sa.Text()), "{}"),
    ("call_on_holidays", sa.Boolean(), "false"),
    ("caller_ids", postgresql.JSONB(astext_type=sa.Text()), "{}"),
    ("calls_per_second", sa.BigInteger(), "1"),
    ("live_calls", sa.BigInteger(), "20"),
    ("emails_per_minute", sa.BigInteger(), "60"),
    ("reminders", sa.BigInteger(), "0"),
)
CHECKS = (
    ("ck_campaigns_sampling", "sampling IN ('fixed', 'target')"),
    ("ck_campaigns_floor_in_0_1", "floor_denominator > 0 AND floor_numerator BETWEEN 0 AND floor_denominator"),
    ("ck_campaigns_ceiling_in_0_1", "ceiling_denominator > 0 AND ceiling_numerator BETWEEN 1 AND ceiling_denominator"),
    ("ck_campaigns_pace_of_calls", "calls_per_second BETWEEN 1 AND 100 AND live_calls BETWEEN 1 AND 10000"),
    ("ck_campaigns_pace_of_emails", "emails_per_minute BETWEEN 1 AND 60000"),
    ("ck_campaigns_reminders", "reminders BETWEEN 0 AND 1"),
    ("ck_campaigns_spend_cap", "spend_cap IS NULL OR spend_cap >= 0"),
)


def upgrade() -> None:
    for name, kind, value in LIKE_BEFORE:
        op.add_column("campaigns", sa.Column(name, kind, nullable=False, server_default=value))
        op.alter_column("campaigns", name, server_default=None)
    op.add_column("campaigns", sa.Column("spend_cap", sa.BigInteger(), nullable=True))
    for name, condition in CHECKS:
        op.create_check_constraint(op.f(name), "campaigns", condition)
    op.add_column("attempts", sa.Column("hours_end_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("attempts", sa.Column("billed_seconds", sa.BigInteger(), nullable=True))
    op.create_table(
        "breakers",
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("openings", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(opened_at IS NULL) = (retry_at IS NULL)", name=op.f("ck_breakers_open_has_retry")),
        sa.CheckConstraint("failures >= 0 AND openings >= 0", name=op.f("ck_breakers_counts")),
        sa.CheckConstraint("channel IN ('ivr', 'web')", name=op.f("ck_breakers_channel")),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_breakers")),
    )
    op.create_table(
        "paces",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("channel IN ('ivr', 'web')", name=op.f("ck_paces_channel")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_paces_campaign_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("campaign_id", "channel", name=op.f("pk_paces")),
    )


def downgrade() -> None:
    op.drop_table("paces")
    op.drop_table("breakers")
    op.drop_column("attempts", "billed_seconds")
    op.drop_column("attempts", "hours_end_at")
    op.drop_column("campaigns", "spend_cap")
    for name, _, _ in reversed(LIKE_BEFORE):
        op.drop_column("campaigns", name)

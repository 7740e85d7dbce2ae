"""intake: legs, later records, what an import changed, control totals, API keys, uploads

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_api_keys_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_keys_organisation_id"), ["organisation_id"], unique=False)

    op.create_table(
        "uploads",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_uploads_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_uploads_created_at"), ["created_at"], unique=False)

    op.create_table(
        "control_totals",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=True),
        sa.Column("answered", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("calls >= 0 AND answered >= 0", name=op.f("ck_control_totals_not_negative")),
        sa.CheckConstraint(
            "calls IS NOT NULL OR answered IS NOT NULL", name=op.f("ck_control_totals_counts_something")
        ),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_control_totals_ends_after_start")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_control_totals_agent_id")),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_control_totals_import_id")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name=op.f("fk_control_totals_organisation_id")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_control_totals_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control_totals")),
    )
    with op.batch_alter_table("control_totals", schema=None) as batch_op:
        batch_op.create_index(
            "uq_control_totals_agent",
            ["organisation_id", "source", "site_id", "agent_id", "starts_at", "ends_at"],
            unique=True,
            postgresql_where="agent_id IS NOT NULL",
        )
        batch_op.create_index(
            "uq_control_totals_site",
            ["organisation_id", "source", "site_id", "starts_at", "ends_at"],
            unique=True,
            postgresql_where="agent_id IS NULL",
        )

    op.create_table(
        "import_changes",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("row_table", sa.Text(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "row_table IN ('calls', 'call_legs', 'customers', 'agents', 'assignments')",
            name=op.f("ck_import_changes_of_a_known_table"),
        ),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_changes_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_changes")),
    )
    with op.batch_alter_table("import_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_import_changes_import_id"), ["import_id"], unique=False)
        batch_op.create_index("ix_import_changes_row", ["row_table", "row_id", "id"], unique=False)

    op.create_table(
        "call_legs",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.Column("leg", sa.Text(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("talk_seconds", sa.BigInteger(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("internal", sa.Boolean(), nullable=False),
        sa.Column("contact_fault", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ended_at >= started_at", name=op.f("ck_call_legs_ends_after_start")),
        sa.CheckConstraint("talk_seconds >= 0", name=op.f("ck_call_legs_talk_not_negative")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_call_legs_agent_id")),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_call_legs_call_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_call_legs_customer_id")),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_call_legs_import_id")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_call_legs_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_legs")),
        sa.UniqueConstraint("call_id", "leg", name=op.f("uq_call_legs_call_id_leg")),
    )
    with op.batch_alter_table("call_legs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_call_legs_import_id"), ["import_id"], unique=False)

    op.create_table(
        "later_records",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("record", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_later_records_call_id")),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_later_records_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_later_records")),
        sa.UniqueConstraint("call_id", "fingerprint", name=op.f("uq_later_records_call_id_fingerprint")),
    )
    with op.batch_alter_table("later_records", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_later_records_import_id"), ["import_id"], unique=False)

    # The default is for the rows that are there; new ones always say it.
    op.add_column("calls", sa.Column("agent_uncertain", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("calls", "agent_uncertain", server_default=None)
    op.add_column("calls", sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint("uncertain_without_agent", "calls", "NOT agent_uncertain OR agent_id IS NULL")
    # An undo deletes calls: what may point at them is looked up for each.
    op.create_index("ix_calls_import", "calls", ["import_id"])
    op.create_index(
        "ix_surveys_superseded_by",
        "surveys",
        ["superseded_by_call_id"],
        postgresql_where="superseded_by_call_id IS NOT NULL",
    )
    op.create_index("ix_call_legs_agent_id", "call_legs", ["agent_id"])
    op.create_index("ix_call_legs_customer_id", "call_legs", ["customer_id"])
    # Most customers are known by their phone alone.
    op.drop_index("ix_customers_email_index", table_name="customers")
    op.create_index(
        "ix_customers_email_index", "customers", ["email_index"], postgresql_where="email_index IS NOT NULL"
    )
    op.create_unique_constraint("uq_sites_id_organisation_id", "sites", ["id", "organisation_id"])
    op.drop_constraint("fk_calls_site_id", "calls", type_="foreignkey")
    op.drop_constraint("fk_calls_organisation_id", "calls", type_="foreignkey")
    op.create_foreign_key(
        "fk_calls_site_id_organisation_id", "calls", "sites", ["site_id", "organisation_id"], ["id", "organisation_id"]
    )

    op.add_column("imports", sa.Column("notes", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")))
    op.alter_column("imports", "notes", server_default=None)
    op.add_column("imports", sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("imports", sa.Column("undone_by", sa.Text(), nullable=True))
    _name_import_kinds("calls", "roster", "contacts", "optouts", "responses", "totals")

    op.add_column(
        "organisations", sa.Column("own_numbers", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'"))
    )
    op.alter_column("organisations", "own_numbers", server_default=None)

    op.alter_column("surveys", "agent_id", existing_type=sa.BigInteger(), nullable=True)


def downgrade() -> None:
    op.alter_column("surveys", "agent_id", existing_type=sa.BigInteger(), nullable=False)
    op.drop_column("organisations", "own_numbers")
    _name_import_kinds("calls", "roster", "contacts", "optouts", "responses")
    op.drop_column("imports", "undone_by")
    op.drop_column("imports", "undone_at")
    op.drop_column("imports", "notes")
    op.drop_index("ix_surveys_superseded_by", table_name="surveys")
    op.drop_index("ix_calls_import", table_name="calls")
    op.drop_index("ix_customers_email_index", table_name="customers")
    op.create_index("ix_customers_email_index", "customers", ["email_index"])
    op.drop_constraint("fk_calls_site_id_organisation_id", "calls", type_="foreignkey")
    op.create_foreign_key("fk_calls_organisation_id", "calls", "organisations", ["organisation_id"], ["id"])
    op.create_foreign_key("fk_calls_site_id", "calls", "sites", ["site_id"], ["id"])
    op.drop_constraint("uq_sites_id_organisation_id", "sites", type_="unique")
    op.drop_constraint("uncertain_without_agent", "calls", type_="check")
    op.drop_column("calls", "recorded_at")
    op.drop_column("calls", "agent_uncertain")
    with op.batch_alter_table("later_records", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_later_records_import_id"))

    op.drop_table("later_records")
    with op.batch_alter_table("call_legs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_call_legs_import_id"))

    op.drop_table("call_legs")
    with op.batch_alter_table("import_changes", schema=None) as batch_op:
        batch_op.drop_index("ix_import_changes_row")
        batch_op.drop_index(batch_op.f("ix_import_changes_import_id"))

    op.drop_table("import_changes")
    with op.batch_alter_table("control_totals", schema=None) as batch_op:
        batch_op.drop_index("uq_control_totals_site", postgresql_where="agent_id IS NULL")
        batch_op.drop_index("uq_control_totals_agent", postgresql_where="agent_id IS NOT NULL")

    op.drop_table("control_totals")
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_uploads_created_at"))

    op.drop_table("uploads")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_keys_organisation_id"))

    op.drop_table("api_keys")


def _name_import_kinds(*kinds: str) -> None:
    op.drop_constraint("importkind", "imports", type_="check")
    op.create_check_constraint("importkind", "imports", sa.column("kind", sa.Text()).in_(kinds))

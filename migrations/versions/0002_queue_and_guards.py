"""the queue's own tables, and guards that keep history as it was written

Revision ID: 0002
Revises: 0001
"""

from importlib import resources

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Later releases of the queue bring further files: each such upgrade is a migration of ours that names its own last file.
LAST_QUEUE_FILE = "03.04.00_50_post_add_retry_failed_job_procedure.sql"

APPEND_ONLY = ("answers", "attempt_events", "audit_entries", "draws")


def upgrade() -> None:
    # What an upgrade cut off in between has left of the queue: nothing has used it yet.
    _drop_queue()
    # Each file in a transaction of its own: PostgreSQL before 18 may not use a new enum value before it is committed.
    driver = op.get_bind().connection.driver_connection
    for script in _queue_scripts():
        # As the driver's own text: the scripts hold several statements and percent signs.
        driver.execute(script)
        driver.commit()
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are history: they are never changed or deleted', TG_TABLE_NAME;
        END $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
    _drop_queue()


def _drop_queue() -> None:
    for kind, names in _queue_objects().items():
        for name in names:
            op.execute(f"DROP {kind} IF EXISTS {name} CASCADE")


def _queue_scripts() -> list[str]:
    folder = resources.files("procrastinate").joinpath("sql", "migrations")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [f.read_text(encoding="utf-8") for f in files if f.name <= LAST_QUEUE_FILE]


def _queue_objects() -> dict[str, list[str]]:
    """The queue's tables, functions and types, by kind, as they stand in this database."""
    found: dict[str, list[str]] = {}
    for kind, query in (
        ("TABLE", "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relname LIKE 'procrastinate%'"),
        ("FUNCTION", "SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'procrastinate%'"),
        ("TYPE", "SELECT oid::regtype::text FROM pg_type WHERE typtype IN ('e', 'c') AND typname LIKE 'procrastinate%'"),
    ):
        found[kind] = [row[0] for row in op.get_bind().execute(sa.text(query))]
    return found

"""Imports that become visible whole, and the schemas a base has had"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = (
    "state TEXT DEFAULT 'published' NOT NULL CONSTRAINT ck_imports_state "
    "CHECK (state IN ('publishing', 'published', 'failed'))",
    "job_id INTEGER",
    "rejected INTEGER DEFAULT 0 NOT NULL",
    "written INTEGER DEFAULT 0 NOT NULL",
    "plan_json TEXT",
)


def upgrade() -> None:
    for column in COLUMNS:
        # Written out: Alembic adds no column with a check in SQLite without copying the table.
        op.execute(f"ALTER TABLE imports ADD COLUMN {column}")
    op.create_table(
        "schema_versions",
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("schema_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("checksum", name=op.f("pk_schema_versions")),
    )
    op.execute(
        "INSERT INTO schema_versions (checksum, schema_json, created_at) "
        "SELECT schema_checksum, schema_json, created_at FROM base"
    )


def downgrade() -> None:
    op.drop_table("schema_versions")
    for column in COLUMNS:
        op.execute(f"ALTER TABLE imports DROP COLUMN {column.split()[0]}")

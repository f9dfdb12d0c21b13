"""Saved segments; roll-ups of churn by group and of cohorts, which the next import or outcomes file fills."""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    for table in (tables.segments, tables.group_churn, tables.cohort_months):
        table.create(connection, checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

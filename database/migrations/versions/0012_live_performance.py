"""Predictions beside their outcomes, in bins.

A database of migration 0011 is measured by the next import or scoring run.
"""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in (tables.measured_runs, tables.outcome_bins):
        table.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

"""The evidence for a shift of the level after each counted run, and reports of drift; the next job makes them."""

from __future__ import annotations

from alembic import op

from database.engine.alter_table import add_missing_columns
from database.tables import tables

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_missing_columns(op.get_bind(), tables.measured_runs)
    tables.drift_reports.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

"""Webhooks can be paused."""

from __future__ import annotations

from alembic import op

from database.engine.alter_table import add_missing_columns
from database.tables import tables

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_missing_columns(op.get_bind(), tables.webhooks)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

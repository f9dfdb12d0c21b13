"""The present state remembers its newest version in which no figure of before may be returned."""

from __future__ import annotations

from alembic import op

from database.engine.alter_table import add_missing_columns
from database.tables import tables

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_missing_columns(op.get_bind(), tables.present_state)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

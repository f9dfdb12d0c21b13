"""Figures that take a pass over all customers are kept; the worker measures them when it has started."""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    for table in (tables.present_state, tables.kept_figures):
        table.create(connection, checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

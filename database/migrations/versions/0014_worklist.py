"""The worklist: owner, status, note and due date of a customer, with its history."""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    for table in (tables.worklist, tables.worklist_history):
        table.create(connection, checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

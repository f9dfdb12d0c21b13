"""The calendar of what the worker does by itself."""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables.schedule.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

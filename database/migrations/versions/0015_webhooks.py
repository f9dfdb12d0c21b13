"""Webhooks, their events and deliveries; the log of changes of displayed scores."""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in (tables.webhooks, tables.webhook_events, tables.webhook_deliveries, tables.score_changes):
        table.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

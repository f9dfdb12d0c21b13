"""A webhook's secret can be replaced, the earlier one signs beside it for a while; campaigns that a digest has told."""

from __future__ import annotations

from alembic import op

from database.engine.alter_table import add_missing_columns
from database.tables import tables

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in (tables.webhooks, tables.campaigns):
        add_missing_columns(op.get_bind(), table)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

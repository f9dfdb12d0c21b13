"""Prices that changed are remembered from now on; a roll-up of the movement of monthly revenue, which imports fill."""

from __future__ import annotations

from alembic import op

from database.engine.sqlite.ddl import remember_prices
from database.tables import tables

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    for table in (tables.past_prices, tables.mrr_months):
        table.create(connection, checkfirst=True)
    remember_prices(connection)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

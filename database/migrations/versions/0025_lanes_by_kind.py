"""A job's lane follows from its kind: the column goes, so that lanes can be changed without the jobs that wait."""

from __future__ import annotations

from alembic import op
from sqlalchemy import inspect

from database.engine.alter_table import drop_column
from database.tables import tables

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    if "lane" in {column["name"] for column in inspect(connection).get_columns("jobs")}:
        op.drop_index("ix_jobs_state_lane", "jobs")
        drop_column(connection, tables.jobs, "lane")
    by_state = next(index for index in tables.jobs.indexes if index.name == "ix_jobs_state")
    by_state.create(connection, checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

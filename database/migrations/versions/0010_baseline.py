"""The baseline: every table as `database.tables` says. Edited in place until the next release, which freezes it."""

from __future__ import annotations

from alembic import op

from database.engine.sqlite.ddl import create

revision = "0010"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create(op.get_bind())


def downgrade() -> None:
    raise NotImplementedError("Nothing comes before the baseline.")

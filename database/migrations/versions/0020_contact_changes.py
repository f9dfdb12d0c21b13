"""Changes of who may be contacted, in order: readers of changed scores learn who must leave their list."""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables.contact_changes.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

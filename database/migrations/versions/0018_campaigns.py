"""Campaigns: lists with arms, contacts, the universal hold-out, who must not be contacted."""

from __future__ import annotations

from alembic import op

from database.tables import tables

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    for table in (
        tables.campaigns,
        tables.campaign_members,
        tables.campaign_contacts,
        tables.do_not_contact,
        tables.holdout,
    ):
        table.create(connection, checkfirst=True)


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")

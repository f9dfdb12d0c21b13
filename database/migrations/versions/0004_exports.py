"""Indexes for lists: customers by the beginning of their id or e-mail, whatever its case"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ('user_id', 'email'):
        op.execute(f'CREATE INDEX ix_customers_{column}_nocase ON customers ({column} COLLATE NOCASE)')


def downgrade() -> None:
    for column in ('user_id', 'email'):
        op.execute(f'DROP INDEX ix_customers_{column}_nocase')

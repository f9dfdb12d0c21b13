"""Ends that were known once and were taken back: so that no later news changes who counted on an earlier day"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The first day on which it is known that a lifetime ends: the day it was announced, else the end itself.
KNOWN = "min(coalesce({0}.cancelled_at, {0}.ended_at), {0}.ended_at)"
NEXT = f"coalesce({KNOWN.format('NEW')}, '9999')"
UNTIL = f"min(coalesce(NEW.told_on, substr(NEW.known_at, 1, 10)), {NEXT})"
REMEMBER = f"""
CREATE TRIGGER subscriptions_remember_ends AFTER UPDATE OF ended_at, cancelled_at ON subscriptions
WHEN OLD.ended_at IS NOT NULL AND {KNOWN.format('OLD')} < {UNTIL}
BEGIN
  INSERT INTO withdrawn_ends (customer_id, started_at, known_from, known_until)
  VALUES (OLD.customer_id, OLD.started_at, {KNOWN.format('OLD')}, {UNTIL});
END
"""


def upgrade() -> None:
    op.execute('ALTER TABLE subscriptions ADD COLUMN told_on TEXT')
    op.create_table(
        'withdrawn_ends',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('customer_id', sa.Integer(), nullable=False),
        sa.Column('started_at', sa.Text(), nullable=False),
        sa.Column('known_from', sa.Text(), nullable=False),
        sa.Column('known_until', sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ['customer_id'], ['customers.id'], name=op.f('fk_withdrawn_ends_customer_id_customers')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_withdrawn_ends')),
    )
    op.create_index('ix_withdrawn_ends_customer_id', 'withdrawn_ends', ['customer_id', 'started_at'])
    op.execute(REMEMBER)


def downgrade() -> None:
    op.execute('DROP TRIGGER subscriptions_remember_ends')
    op.drop_index('ix_withdrawn_ends_customer_id', 'withdrawn_ends')
    op.drop_table('withdrawn_ends')
    op.execute('ALTER TABLE subscriptions DROP COLUMN told_on')

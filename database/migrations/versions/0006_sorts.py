"""Indexes for lists sorted by price and tenure"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_customers_monthly_price', 'customers', ['monthly_price'])
    op.create_index('ix_customers_tenure_months', 'customers', ['tenure_months'])


def downgrade() -> None:
    op.drop_index('ix_customers_tenure_months', 'customers')
    op.drop_index('ix_customers_monthly_price', 'customers')

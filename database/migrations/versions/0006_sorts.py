"""Indexes for lists sorted by price, tenure and revenue at risk"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_customers_monthly_price', 'customers', ['monthly_price'])
    op.create_index('ix_customers_tenure_months', 'customers', ['tenure_months'])
    op.execute(
        'CREATE INDEX ix_present_scores_revenue ON present_scores '
        '(run_id, churn_probability * monthly_price, customer_id)'
    )


def downgrade() -> None:
    op.drop_index('ix_present_scores_revenue', 'present_scores')
    op.drop_index('ix_customers_tenure_months', 'customers')
    op.drop_index('ix_customers_monthly_price', 'customers')

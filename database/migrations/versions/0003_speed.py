"""Present scores are found by the ledger row they refer to

Revision ID: 0003
Revises: 0001
"""
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_present_scores_prediction_id", "present_scores", ["prediction_id"])


def downgrade() -> None:
    op.drop_index("ix_present_scores_prediction_id", table_name="present_scores")

"""A narrower ledger: a score's moment is its run's, and a run knows its rows by their ids instead of by an index"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, which in (("first_prediction_id", "min"), ("last_prediction_id", "max")):
        op.add_column("scoring_runs", sa.Column(name, sa.Integer()))
        op.execute(
            f"UPDATE scoring_runs SET {name} = (SELECT {which}(id) FROM predictions WHERE run_id = scoring_runs.id)"
        )
    op.execute("DROP INDEX ix_predictions_run_id")
    op.execute("ALTER TABLE predictions DROP COLUMN prediction_date")


def downgrade() -> None:
    op.execute("ALTER TABLE predictions ADD COLUMN prediction_date TEXT NOT NULL DEFAULT ''")
    op.execute(
        "UPDATE predictions SET prediction_date = (SELECT started_at FROM scoring_runs WHERE id = predictions.run_id)"
    )
    op.execute("CREATE INDEX ix_predictions_run_id ON predictions (run_id)")
    for name in ("last_prediction_id", "first_prediction_id"):
        op.execute(f"ALTER TABLE scoring_runs DROP COLUMN {name}")

"""Ranks in a table of their own, and present scores that are copies without foreign keys"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = "run_id, customer_id, churn_probability, prediction_id, monthly_price"
# Written out: a key that descends is nothing that Alembic can say.
RANKS = """
CREATE TABLE present_ranks (
    run_id INTEGER NOT NULL,
    churn_probability FLOAT NOT NULL,
    customer_id INTEGER NOT NULL,
    prediction_id INTEGER NOT NULL,
    monthly_price FLOAT,
    CONSTRAINT pk_present_ranks PRIMARY KEY (run_id, churn_probability DESC, customer_id),
    CONSTRAINT fk_present_ranks_run_id FOREIGN KEY(run_id) REFERENCES scoring_runs (id)
) WITHOUT ROWID
"""
SCORES = """
CREATE TABLE present_scores_new (
    run_id INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,
    churn_probability FLOAT NOT NULL,
    prediction_id INTEGER NOT NULL,
    monthly_price FLOAT,
    CONSTRAINT pk_present_scores PRIMARY KEY (run_id, customer_id),
    CONSTRAINT fk_present_scores_run_id FOREIGN KEY(run_id) REFERENCES scoring_runs (id){more}
) WITHOUT ROWID
"""
REFERENCES = """,
    CONSTRAINT fk_present_scores_customer_id FOREIGN KEY(customer_id) REFERENCES customers (id),
    CONSTRAINT fk_present_scores_prediction_id FOREIGN KEY(prediction_id) REFERENCES predictions (id)
"""


def upgrade() -> None:
    op.execute("DROP INDEX ix_predictions_run_probability")
    op.execute("CREATE INDEX ix_predictions_run_id ON predictions (run_id)")
    _make_scores_anew("")
    op.execute(RANKS)
    op.execute(
        f"INSERT INTO present_ranks ({COLUMNS}) SELECT {COLUMNS} FROM present_scores "
        "ORDER BY run_id, churn_probability DESC, customer_id"
    )


def downgrade() -> None:
    op.execute("DROP TABLE present_ranks")
    _make_scores_anew(REFERENCES)
    op.execute("CREATE INDEX ix_present_scores_rank ON present_scores (run_id, churn_probability DESC, customer_id)")
    op.execute("CREATE INDEX ix_present_scores_prediction_id ON present_scores (prediction_id)")
    op.execute("DROP INDEX ix_predictions_run_id")
    op.execute("CREATE INDEX ix_predictions_run_probability ON predictions (run_id, churn_probability)")


def _make_scores_anew(references: str) -> None:
    """SQLite changes no foreign key of a table that stands; its indexes go with it."""
    op.execute(SCORES.format(more=references))
    op.execute(f"INSERT INTO present_scores_new ({COLUMNS}) SELECT {COLUMNS} FROM present_scores")
    op.execute("DROP TABLE present_scores")
    op.execute("ALTER TABLE present_scores_new RENAME TO present_scores")

"""The tables of scores: runs, predictions, what is published, and what came of it.

Law: a score refers to its customer and its run by integer keys, and repeats no personal data.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, Integer, Table, Text

from database.tables.catalogue import id_column, metadata, reference

scoring_runs = Table(
    "scoring_runs",
    metadata,
    id_column(),
    Column("kind", Text, CheckConstraint("kind IN ('full', 'sample', 'past')", name="kind"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('running', 'published', 'done', 'failed')", name="state"),
        nullable=False,
    ),
    reference("model_id", "models.id"),
    Column("as_of", Text, nullable=False),
    Column("horizon_days", Integer, nullable=False),
    Column("customers", Integer),
    Column("average_probability", Float),
    reference("job_id", "jobs.id", nullable=True),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
)
Index("ix_scoring_runs_kind_as_of", scoring_runs.c.kind, scoring_runs.c.as_of)
published_run = Table(
    "published_run",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    reference("run_id", "scoring_runs.id"),
    Column("published_at", Text, nullable=False),
)
predictions = Table(
    "predictions",
    metadata,
    id_column(),
    reference("customer_id", "customers.id"),
    reference("run_id", "scoring_runs.id"),
    Column("churn_probability", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("out_of_fold", Integer, nullable=False),
    Column("reason_1", Integer, nullable=False),
    Column("points_1", Float, nullable=False),
    Column("reason_2", Integer, nullable=False),
    Column("points_2", Float, nullable=False),
    Column("reason_3", Integer, nullable=False),
    Column("points_3", Float, nullable=False),
    Column("prediction_date", Text, nullable=False),
)
Index("ix_predictions_customer_id", predictions.c.customer_id, predictions.c.id)
Index("ix_predictions_run_probability", predictions.c.run_id, predictions.c.churn_probability)
present_scores = Table(
    "present_scores",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("customer_id", Integer, ForeignKey("customers.id"), primary_key=True),
    Column("churn_probability", Float, nullable=False),
    Column("prediction_id", Integer, ForeignKey("predictions.id"), nullable=False),
    Column("monthly_price", Float),
    sqlite_with_rowid=False,
)
# Beside this one the migrations make ix_present_scores_revenue (run_id, churn_probability * monthly_price,
# customer_id): an index of an expression, which Alembic can't compare.
Index(
    "ix_present_scores_rank",
    present_scores.c.run_id,
    present_scores.c.churn_probability.desc(),
    present_scores.c.customer_id,
)
# Without it, every ledger row that goes would be looked for in all of the present scores.
Index("ix_present_scores_prediction_id", present_scores.c.prediction_id)
score_bins = Table(
    "score_bins",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("bin", Integer, primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("probability_sum", Float, nullable=False),
    Column("revenue_at_risk", Float, nullable=False),
    Column("unpriced", Integer, nullable=False),
)
outcomes = Table(
    "outcomes",
    metadata,
    id_column(),
    reference("prediction_id", "predictions.id"),
    Column("churned", Integer, nullable=False),
    Column("known_at", Text, nullable=False),
)
Index("ix_outcomes_prediction_id", outcomes.c.prediction_id)

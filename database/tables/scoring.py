"""The tables of scores: runs, predictions, what is published, and what came of it.

Law: a score refers to its customer and its run by integer keys, and repeats no personal data.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    and_,
    select,
)

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
    # Where its ledger rows begin and end. An index by run would cost a run a twelfth of its time.
    Column("first_prediction_id", Integer),
    Column("last_prediction_id", Integer),
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
)
Index("ix_predictions_customer_id", predictions.c.customer_id, predictions.c.id)
# A score's moment is that of its run.
prediction_date = (
    select(scoring_runs.c.started_at)
    .where(scoring_runs.c.id == predictions.c.run_id)
    .scalar_subquery()
    .label("prediction_date")
)
# Copies of ledger rows, made and dropped with their run: what they refer to is looked after by the ledger's own keys.
present_scores = Table(
    "present_scores",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("customer_id", Integer, primary_key=True),
    Column("churn_probability", Float, nullable=False),
    Column("prediction_id", Integer, nullable=False),
    Column("monthly_price", Float),
    sqlite_with_rowid=False,
)
# The same, by rank: a table of its own, because it is written in its order, once all are scored. An index on
# `present_scores` would be written in the order of customers, all over the place: six times the work of a run.
# Its key runs from the highest probability down, which only the migration can say.
present_ranks = Table(
    "present_ranks",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("churn_probability", Float, primary_key=True),
    Column("customer_id", Integer, primary_key=True),
    Column("prediction_id", Integer, nullable=False),
    Column("monthly_price", Float),
    sqlite_with_rowid=False,
)
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


def of_run(run_id: int | ColumnElement[int]) -> ColumnElement[bool]:
    """Which ledger rows are those of a run; another's may lie between its first and its last."""
    run = scoring_runs.alias()
    first, last = (
        select(column).where(run.c.id == run_id).correlate_except(run).scalar_subquery()
        for column in (run.c.first_prediction_id, run.c.last_prediction_id)
    )
    return and_(predictions.c.id.between(first, last), predictions.c.run_id == run_id)

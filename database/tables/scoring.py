"""The tables of scores: runs, the ledger of predictions, the published run, ranks, outcomes.

Law: each score is stored once, by run and customer, and repeats no personal data; displayed scores are looked up
there.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    FromClause,
    Index,
    Integer,
    Join,
    Table,
    Text,
    and_,
    case,
    column,
    select,
    table,
    text,
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
    # Customers who could be scored but for their facts, which are older than `facts_from`.
    Column("older_facts", Integer, nullable=False, server_default="0"),
    Column("facts_from", Text),
    reference("job_id", "jobs.id", nullable=True),
    # Its predictions have ids above `ids_after`, up to `ids_until`.
    Column("ids_after", Integer, nullable=False, server_default="0"),
    Column("ids_until", Integer, nullable=False, server_default="0"),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
)
#: A condition: the run is complete, so that its scores can be shown.
is_finished = scoring_runs.c.state.in_(("done", "published"))
Index("ix_scoring_runs_kind_as_of", scoring_runs.c.kind, scoring_runs.c.as_of)
published_run = Table(
    "published_run",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    reference("run_id", "scoring_runs.id"),
    Column("published_at", Text, nullable=False),
)
# Rows are stored in key order: a run appends at the end, and is read as one range.
# `runs.require_customers` and triggers ensure that run and customer exist: foreign keys are checked row by row, which
# would add a quarter to the time of storing.
ledger = Table(
    "ledger",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("customer_id", Integer, primary_key=True),
    Column("churn_probability", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("out_of_fold", Integer, nullable=False),
    Column("reason_1", Integer, nullable=False),
    Column("points_1", Float, nullable=False),
    Column("reason_2", Integer, nullable=False),
    Column("points_2", Float, nullable=False),
    Column("reason_3", Integer, nullable=False),
    Column("points_3", Float, nullable=False),
    Column("monthly_price", Float),
    # Days by which the facts are older than the run's date: narrower than a date a million times over.
    Column("facts_age", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
# A view: the ledger's finished runs under the documented names.
predictions = table(
    "predictions",
    column("id", Integer),
    column("customer_id", Integer),
    column("churn_probability", Float),
    column("confidence", Float),
    column("prediction_date", Text),
    column("run_id", Integer),
    column("facts_as_of", Text),
)
# Ranks of the customers whose scores are shown, written in rank order once all are scored. An index on the ledger
# would be written in customer order, to random pages: six times the work of a run.
present_ranks = Table(
    "present_ranks",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("churn_probability", Float, primary_key=True),
    Column("customer_id", Integer, primary_key=True),
    sqlite_with_rowid=False,
    info={"descending": ("churn_probability",)},
)
# Customers whose displayed score is not the published run's: a later sample's is shown, or none (NULL).
present_changes = Table(
    "present_changes",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("customer_id", Integer, primary_key=True),
    Column("scored_run_id", Integer),
    sqlite_with_rowid=False,
)
# Every change of a displayed score while a run is the published one, in order: ids are never used twice, so a reader
# who knows the last one it has seen can ask for the rest.
score_changes = Table(
    "score_changes",
    metadata,
    id_column(),
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), nullable=False),
    Column("customer_id", Integer, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_score_changes_run_id_customer_id", score_changes.c.run_id, score_changes.c.customer_id)
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
# The version of the present state: who the customers are, their facts and their displayed scores.
present_state = Table(
    "present_state",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("version", Integer, nullable=False),
    # The newest version in which no figure of before may be returned.
    Column("replaced", Integer, nullable=False, server_default=text("0")),
)
# Figures that take a pass over all customers, as measured in that state: sums, and the keys of the first of a list.
kept_figures = Table(
    "kept_figures",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("value_json", Text, nullable=False),
)
outcomes = Table(
    "outcomes",
    metadata,
    id_column(),
    Column("run_id", Integer, nullable=False),
    Column("customer_id", Integer, nullable=False),
    Column("churned", Integer, nullable=False),
    Column("known_at", Text, nullable=False),
    ForeignKeyConstraint(["run_id", "customer_id"], ["ledger.run_id", "ledger.customer_id"]),
)
Index("ix_outcomes_run_id_customer_id", outcomes.c.run_id, outcomes.c.customer_id)
# Those whom an outcome calls leavers: few, and looked at again whenever ends come in.
_LEFT = outcomes.c.churned == 1
Index("ix_outcomes_left", outcomes.c.run_id, outcomes.c.customer_id, sqlite_where=_LEFT, postgresql_where=_LEFT)

prediction_date = (
    select(scoring_runs.c.started_at)
    .where(scoring_runs.c.id == ledger.c.run_id)
    .scalar_subquery()
    .label("prediction_date")
)
#: The id of a prediction: its run's offset plus its customer's key.
prediction_id = (scoring_runs.c.ids_after + ledger.c.customer_id).label("id")


def with_scores(customers: FromClause, customer_id: ColumnElement[int], run_id: int) -> Join:
    """LEFT JOIN customers to the ledger rows that are displayed while this run is the published one."""
    x = present_changes
    of = case((x.c.customer_id.is_(None), run_id), else_=x.c.scored_run_id)
    both = customers.outerjoin(x, and_(x.c.run_id == run_id, x.c.customer_id == customer_id))
    return both.outerjoin(ledger, and_(ledger.c.run_id == of, ledger.c.customer_id == customer_id))

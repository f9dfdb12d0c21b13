"""The tables, column by column.

Law: the feature columns of `customers` and `customer_snapshots` are not here: they are made from
the base's schema (`database.base`). Personal data stand in `customers` and `users` only; everything else
refers to integer keys. Dates are ISO text and timestamps ISO 8601 UTC text with `Z`, which sort as they read.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _ref(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Integer, ForeignKey(target), nullable=nullable)


# --- people who sign in ---------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    _id(),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, CheckConstraint("role IN ('viewer', 'analyst', 'admin')", name="role"), nullable=False),
    Column("token_version", Integer, nullable=False, server_default=text("0")),
    Column("is_demo", Integer, nullable=False, server_default=text("0")),
    Column("disabled_at", Text),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
)
revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("expires_at", Text, nullable=False, index=True),
)
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("expires_at_s", Float, nullable=False, index=True),
)
audit_log = Table(
    "audit_log",
    metadata,
    _id(),
    Column("at", Text, nullable=False),
    _ref("user_id", "users.id", nullable=True),
    Column("action", Text, nullable=False),
    Column("subject", Text),
    Column("request_id", Text),
)

# --- the customer base ----------------------------------------------------------------------------------------------

base = Table(
    "base",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("schema_json", Text, nullable=False),
    Column("schema_checksum", Text, nullable=False),
    Column("state", Text, CheckConstraint("state IN ('loading', 'ready')", name="state"), nullable=False),
    Column("is_demo", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
)
imports = Table(
    "imports",
    metadata,
    _id(),
    Column("file_name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("schema_checksum", Text, nullable=False),
    Column("as_of", Text),
    Column("rows", Integer, nullable=False),
    Column("customers_new", Integer, nullable=False),
    Column("customers_updated", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
)
customers = Table(
    "customers",
    metadata,
    _id(),
    Column("user_id", Text, nullable=False, unique=True),
    Column("email", Text),
    Column("plan", Text),
    Column("tenure_months", Integer),
    Column("last_activity", Text),
    Column("churn", Integer, nullable=False),
    Column("monthly_price", Float),
    Column("currency", Text),
    Column("ends_on", Text),
    Column("as_of", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
)
Index("ix_customers_population", customers.c.churn, customers.c.ends_on, customers.c.id)
customer_snapshots = Table(
    "customer_snapshots",
    metadata,
    _id(),
    _ref("customer_id", "customers.id"),
    Column("as_of", Text, nullable=False),
    Column("known_at", Text, nullable=False),
    _ref("import_id", "imports.id"),
    Column("label", Integer),
    UniqueConstraint("as_of", "customer_id", "known_at", "import_id"),
)
subscriptions = Table(
    "subscriptions",
    metadata,
    _id(),
    _ref("customer_id", "customers.id"),
    Column("started_at", Text, nullable=False),
    Column("cancelled_at", Text),
    Column("ended_at", Text),
    Column("end_reason", Text),
    Column("plan", Text),
    Column("monthly_price", Float),
    Column("currency", Text),
    Column("known_at", Text, nullable=False),
    UniqueConstraint("customer_id", "started_at"),
)
Index("ix_subscriptions_ended_at", subscriptions.c.ended_at)
population_history = Table(
    "population_history",
    metadata,
    Column("period_end", Text, primary_key=True),
    Column("period_start", Text, nullable=False),
    Column("active_at_start", Integer, nullable=False),
    Column("left", Integer, nullable=False),
)

# --- models ---------------------------------------------------------------------------------------------------------

models = Table(
    "models",
    metadata,
    _id(),
    Column("version", Text, nullable=False, unique=True),
    Column("state", Text, CheckConstraint("state IN ('training', 'ready')", name="state"), nullable=False),
    Column("schema_checksum", Text, nullable=False),
    Column("trained_on", Text, nullable=False),
    _ref("job_id", "jobs.id", nullable=True),
    Column("report_json", Text),
    Column("decision", Text),
    Column("created_at", Text, nullable=False),
)
model_timeline = Table(
    "model_timeline",
    metadata,
    _id(),
    _ref("model_id", "models.id"),
    Column("live_from", Text, nullable=False),
    Column("is_rollback", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    _ref("user_id", "users.id", nullable=True),
)
model_metrics = Table(
    "model_metrics",
    metadata,
    _id(),
    _ref("model_id", "models.id"),
    Column("auc_score", Float),
    Column("precision", Float),
    Column("recall", Float),
    Column("f1_score", Float),
    Column("training_samples", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
)
feature_importance = Table(
    "feature_importance",
    metadata,
    _id(),
    Column("feature_name", Text, nullable=False),
    Column("shap_value", Float, nullable=False),
    Column("model_version", Text, nullable=False, index=True),
    Column("created_at", Text, nullable=False),
)

# --- scores ---------------------------------------------------------------------------------------------------------

scoring_runs = Table(
    "scoring_runs",
    metadata,
    _id(),
    Column("kind", Text, CheckConstraint("kind IN ('full', 'sample', 'past')", name="kind"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('running', 'published', 'done', 'failed')", name="state"),
        nullable=False,
    ),
    _ref("model_id", "models.id"),
    Column("as_of", Text, nullable=False),
    Column("horizon_days", Integer, nullable=False),
    Column("customers", Integer),
    Column("average_probability", Float),
    _ref("job_id", "jobs.id", nullable=True),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
)
Index("ix_scoring_runs_kind_as_of", scoring_runs.c.kind, scoring_runs.c.as_of)
published_run = Table(
    "published_run",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    _ref("run_id", "scoring_runs.id"),
    Column("published_at", Text, nullable=False),
)
predictions = Table(
    "predictions",
    metadata,
    _id(),
    _ref("customer_id", "customers.id"),
    _ref("run_id", "scoring_runs.id"),
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
Index(
    "ix_present_scores_rank",
    present_scores.c.run_id,
    present_scores.c.churn_probability.desc(),
    present_scores.c.customer_id,
)
# Whoever deletes a row of the ledger makes SQLite look for the present score that refers to it.
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
    _id(),
    _ref("prediction_id", "predictions.id"),
    Column("churned", Integer, nullable=False),
    Column("known_at", Text, nullable=False),
)
Index("ix_outcomes_prediction_id", outcomes.c.prediction_id)

# --- work -----------------------------------------------------------------------------------------------------------

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),
    Column("lane", Text, CheckConstraint("lane IN ('training', 'rest')", name="lane"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
        nullable=False,
    ),
    Column("params_json", Text, nullable=False),
    Column("progress", Float, nullable=False, server_default=text("0")),
    Column("stage", Text),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("worker", Text),
    Column("heartbeat_at", Text),
    Column("cancel_requested", Integer, nullable=False, server_default=text("0")),
    Column("result_json", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("error_details_json", Text),
    _ref("user_id", "users.id", nullable=True),
    Column("request_id", Text),
    Column("idempotency_key", Text),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("finished_at", Text),
    UniqueConstraint("user_id", "kind", "idempotency_key"),
)
Index("ix_jobs_state_lane", jobs.c.state, jobs.c.lane, jobs.c.id)
workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_at", Text, nullable=False),
)

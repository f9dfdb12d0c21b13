"""The tables of models: versions, the timeline of live models, metrics.

Law: the database keeps a model's version and report, never its files.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Integer, Table, Text

from database.tables.catalogue import id_column, metadata, reference

models = Table(
    "models",
    metadata,
    id_column(),
    Column("version", Text, nullable=False, unique=True),
    Column("state", Text, CheckConstraint("state IN ('training', 'ready')", name="state"), nullable=False),
    Column("schema_checksum", Text, nullable=False),
    Column("trained_on", Text, nullable=False),
    reference("job_id", "jobs.id", nullable=True),
    Column("report_json", Text),
    Column("decision", Text),
    Column("created_at", Text, nullable=False),
)
model_timeline = Table(
    "model_timeline",
    metadata,
    id_column(),
    reference("model_id", "models.id"),
    Column("live_from", Text, nullable=False),
    Column("is_rollback", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    reference("user_id", "users.id", nullable=True),
)
model_metrics = Table(
    "model_metrics",
    metadata,
    id_column(),
    reference("model_id", "models.id"),
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
    id_column(),
    Column("feature_name", Text, nullable=False),
    Column("shap_value", Float, nullable=False),
    Column("model_version", Text, nullable=False, index=True),
    Column("created_at", Text, nullable=False),
)

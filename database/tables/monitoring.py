"""The tables of monitoring: runs beside their outcomes, in bins, and how runs differ from training rows.

Law: bins hold counts and sums only; those of several runs, or of a run's segments, add up.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Integer, Table, Text

from database.tables.catalogue import metadata

# Appending an outcome deletes the run's row here, so that the run is measured again.
measured_runs = Table(
    "measured_runs",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("stage", Text, CheckConstraint("stage IN ('matured', 'provisional')", name="stage"), nullable=False),
    # 1 if its rows count in months, versions and segments too: no other counted run is within 27 days of it.
    Column("is_counted", Integer, nullable=False),
    # Predictions that have no outcome although the run's date has matured.
    Column("without_outcome", Integer, nullable=False),
    Column("threshold", Float, nullable=False),
    # Log of the evidence for a shift of the level after this run (docs/definitions.md#level-alarm); of counted runs.
    Column("log_evidence", Float),
    Column("measured_at", Text, nullable=False),
)
# Predictions of a run by log-odds (bins of 0.02), apart by whether they reach the model's decision threshold: of all
# its customers (feature and value are empty) and, of a counted run, of each value of a category.
outcome_bins = Table(
    "outcome_bins",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("feature", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("bin", Integer, primary_key=True),
    Column("listed", Integer, primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("leavers", Integer, nullable=False),
    Column("probability_sum", Float, nullable=False),
    sqlite_with_rowid=False,
)
# How a run's customers differ from training rows: a `monitoring.drift.DriftReport` as JSON.
drift_reports = Table(
    "drift_reports",
    metadata,
    Column("run_id", Integer, ForeignKey("scoring_runs.id"), primary_key=True),
    Column("report_json", Text, nullable=False),
    Column("measured_at", Text, nullable=False),
)

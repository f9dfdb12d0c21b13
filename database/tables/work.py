"""The tables of jobs and the workers that run them.

Law: a job's parameters and result are JSON text in its row; the user and API key that requested it are integer keys.
`is_bound`: the job's work is kept, whatever happens to its worker. `beats` counts its heartbeats.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Index, Integer, Table, Text, UniqueConstraint, text

from database.tables.catalogue import id_column, metadata, reference

jobs = Table(
    "jobs",
    metadata,
    id_column(),
    Column("kind", Text, nullable=False),
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
    Column("beats", Integer, nullable=False, server_default=text("0")),
    Column("is_bound", Integer, nullable=False, server_default=text("0")),
    Column("cancel_requested", Integer, nullable=False, server_default=text("0")),
    Column("result_json", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("error_details_json", Text),
    reference("user_id", "users.id", nullable=True),
    reference("key_id", "api_keys.id", nullable=True),
    Column("request_id", Text),
    Column("idempotency_key", Text),
    Column("question_sha256", Text),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("finished_at", Text),
    UniqueConstraint("user_id", "kind", "idempotency_key"),
)
Index("ix_jobs_state", jobs.c.state, jobs.c.id)
# The tasks of the schedule, one row each.
schedule = Table(
    "schedule",
    metadata,
    Column("task", Text, primary_key=True),
    Column("cron", Text, nullable=False),
    Column("next_at", Text, nullable=False),
    Column("last_at", Text),
    reference("job_id", "jobs.id", nullable=True),
    Column("note", Text),
)
workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_at", Text, nullable=False),
)

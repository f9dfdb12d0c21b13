"""The history of a customer: facts, subscriptions, scores, jobs, imports.

Law: newest first, never more than `limit` (or `limit` dates); `known_at` is as recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from database.customers.customer_base import column_names, snapshots_table
from database.customers.facts import published
from database.engine.bulk_insert import AnyRow
from database.engine.expressions import days_after
from database.tables import tables
from shared.schema.features import Schema

c, s, o, runs = tables.customers, tables.subscriptions, tables.outcomes, tables.scoring_runs
ledger, imports, jobs = tables.ledger, tables.imports, tables.jobs


def facts(
    connection: Connection, schema: Schema, customer_id: int, *, limit: int, before: str | None = None
) -> list[dict[str, Any]]:
    """Return snapshots: features by name, `as_of`, `known_at`, `label` and their import.

    Parameters
    ----------
    before
        Only earlier dates (ISO). Corrections of a date stay on one page, so a page can exceed `limit`.
    """
    snap = snapshots_table(schema)
    # The table's index begins with the date: go through the dates, newest first, and look up the customer in each.
    newest = select(func.max(snap.c.as_of).label("day"))
    if before is not None:
        newest = newest.where(snap.c.as_of < before)
    days = newest.cte("days", recursive=True)
    earlier = select(func.max(snap.c.as_of)).where(snap.c.as_of < days.c.day).scalar_subquery()
    days = days.union_all(select(earlier).where(days.c.day.is_not(None)))
    own = select(snap.c.as_of).join(days, snap.c.as_of == days.c.day).where(snap.c.customer_id == customer_id)
    dates = own.distinct().order_by(snap.c.as_of.desc()).limit(limit)
    query = (
        select(snap, imports.c.file_name)
        .outerjoin(imports, imports.c.id == snap.c.import_id)
        .where(snap.c.as_of.in_(dates), snap.c.customer_id == customer_id, published(snap))
        .order_by(snap.c.as_of.desc(), snap.c.known_at.desc(), snap.c.id.desc())
    )
    names = column_names(schema)
    return [
        {
            **{name: row[name] for name in ("as_of", "known_at", "label", "import_id", "file_name")},
            "features": {feature: row[name] for feature, name in names.items()},
        }
        for row in connection.execute(query).mappings()
    ]


def subscriptions(connection: Connection, customer_id: int, *, limit: int) -> Sequence[AnyRow]:
    """Return a customer's lifetimes, newest first."""
    query = select(s).where(s.c.customer_id == customer_id).order_by(s.c.started_at.desc()).limit(limit)
    return connection.execute(query).all()


def scores(connection: Connection, customer_id: int, *, limit: int, before_id: int | None = None) -> Sequence[AnyRow]:
    """Return ledger rows of finished runs with their run, model and outcome (None until known)."""
    outcome = [
        select(column)
        .where(o.c.run_id == ledger.c.run_id, o.c.customer_id == ledger.c.customer_id)
        .order_by(o.c.id.desc())
        .limit(1)
        .scalar_subquery()
        for column in (o.c.churned, o.c.known_at)
    ]
    query = (
        select(
            tables.prediction_id,
            ledger,
            runs.c.started_at.label("prediction_date"),
            runs.c.as_of,
            days_after(runs.c.as_of, -ledger.c.facts_age).label("facts_as_of"),
            runs.c.kind,
            runs.c.job_id,
            runs.c.horizon_days,
            tables.models.c.version,
            outcome[0].label("churned"),
            outcome[1].label("outcome_known_at"),
        )
        .join(runs, runs.c.id == ledger.c.run_id)
        .join(tables.models, tables.models.c.id == runs.c.model_id)
        .where(ledger.c.customer_id == customer_id, tables.is_finished)
        .order_by(runs.c.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        query = query.where(tables.prediction_id.element < before_id)
    return connection.execute(query).all()


def jobs_of(connection: Connection, job_ids: Sequence[int]) -> Sequence[AnyRow]:
    """Return jobs by id, newest first."""
    query = select(jobs.c.id, jobs.c.kind, jobs.c.state, jobs.c.finished_at).where(jobs.c.id.in_(job_ids))
    return connection.execute(query.order_by(jobs.c.id.desc())).all()


def imports_of(connection: Connection, import_ids: Sequence[int]) -> Sequence[AnyRow]:
    """Return imports by id, newest first."""
    query = select(imports.c.id, imports.c.file_name, imports.c.as_of, imports.c.created_at)
    return connection.execute(query.where(imports.c.id.in_(import_ids)).order_by(imports.c.id.desc())).all()


def run_of(connection: Connection, run_id: int) -> AnyRow:
    """Return a run's date (`as_of`) and the version of its model (`version`)."""
    query = select(runs.c.as_of, tables.models.c.version).join(tables.models, tables.models.c.id == runs.c.model_id)
    return connection.execute(query.where(runs.c.id == run_id)).one()

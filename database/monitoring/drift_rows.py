"""Samples of rows to be compared, those that a run scored and those of a training date; and the reports of it.

Law: a sample is every k-th customer, the same ones each time, so that it needs no sorting.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select

from database.customers import facts
from database.customers.customer_base import column_names, customers_table, snapshots_table
from database.tables import tables
from shared.schema.features import Schema

runs, ledger, reports = tables.scoring_runs, tables.ledger, tables.drift_reports


def scored(schema: Schema, run_id: int, *, every: int) -> Select[Any]:
    """Select (customer_id, churn_probability, feature ...) of every k-th customer of a run of the present facts."""
    people = customers_table(schema)
    columns = [people.c[name] for name in column_names(schema).values()]
    query = select(ledger.c.customer_id, ledger.c.churn_probability, *columns)
    query = query.join_from(ledger, people, people.c.id == ledger.c.customer_id)
    return query.where(ledger.c.run_id == run_id, ledger.c.customer_id % every == 0)


def trained(schema: Schema, as_of: str, *, every: int, limit: int) -> Select[Any]:
    """Select (customer_id, monthly_price, feature ..., 0) of every k-th customer of a date's training rows."""
    snap = snapshots_table(schema)
    return facts.to_score(schema, as_of, after_id=0, limit=limit).where(snap.c.customer_id % every == 0)


def rows_of(connection: Connection, as_of: str) -> int:
    """Count the snapshots of a date."""
    snap = tables.customer_snapshots
    return int(connection.execute(select(func.count()).where(snap.c.as_of == as_of)).scalar_one())


def store(connection: Connection, run_id: int, report: Mapping[str, Any], now: str) -> None:
    """Replace the report of a run."""
    connection.execute(delete(reports).where(reports.c.run_id == run_id))
    connection.execute(insert(reports).values(run_id=run_id, report_json=json.dumps(report), measured_at=now))


def newest(connection: Connection, limit: int) -> Sequence[Mapping[str, Any]]:
    """Return the newest reports, newest first."""
    query = select(reports.c.report_json).order_by(reports.c.run_id.desc()).limit(limit)
    return [json.loads(text) for text in connection.execute(query).scalars()]

"""Counts of jobs and when a worker was last seen, for operators."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from database.engine.bulk_insert import AnyRow
from database.tables import tables

j, w = tables.jobs, tables.workers


def by_kind_and_state(connection: Connection) -> Sequence[AnyRow]:
    """Return (kind, state, jobs, oldest): the number of jobs, and when the oldest was asked for."""
    query = select(j.c.kind, j.c.state, func.count().label("jobs"), func.min(j.c.created_at).label("oldest"))
    return connection.execute(query.group_by(j.c.kind, j.c.state).order_by(j.c.kind, j.c.state)).all()


def worker_seen_at(connection: Connection) -> str | None:
    """Return when any worker was last seen."""
    return connection.execute(select(func.max(w.c.seen_at))).scalar_one()

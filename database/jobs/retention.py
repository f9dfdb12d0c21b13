"""Deletes old rows: ledger rows by whole runs, audit rows, ended jobs, and results of jobs.

Law: rows are deleted in chunks, each in a short transaction of the caller; never a displayed score, never a prediction
whose outcome can still come, never a row that another row refers to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, update

from database.engine import kept_figures
from database.tables import tables

runs, ledger, outcomes = tables.scoring_runs, tables.ledger, tables.outcomes
changes, pointer, audit, jobs = tables.present_changes, tables.published_run, tables.audit_log, tables.jobs
FINAL = ("done", "failed", "cancelled")


def old_runs(connection: Connection, *, before: str, hopeless_before: str) -> Sequence[int]:
    """Return the runs whose ledger rows can be deleted, oldest first.

    Parameters
    ----------
    before
        ISO date: only runs of data older than this.
    hopeless_before
        ISO date: a run older than this is deleted even if some of its predictions have no outcome.

    Returns
    -------
    ids of finished runs that still have rows; never the published run or one whose scores are shown.
    """
    known = exists().where(outcomes.c.run_id == ledger.c.run_id, outcomes.c.customer_id == ledger.c.customer_id)
    undecided = exists().where(ledger.c.run_id == runs.c.id, ~known)
    shown = exists().where(changes.c.run_id.in_(select(pointer.c.run_id)), changes.c.scored_run_id == runs.c.id)
    query = select(runs.c.id).where(
        runs.c.as_of < before,
        runs.c.state != "running",
        runs.c.id.not_in(select(pointer.c.run_id)),
        or_(runs.c.as_of < hopeless_before, ~undecided),
        exists().where(ledger.c.run_id == runs.c.id),
        ~shown,
    )
    return connection.execute(query.order_by(runs.c.as_of, runs.c.id)).scalars().all()


def ledger_rows(connection: Connection, run_id: int) -> int:
    """Return the number of ledger rows of a run."""
    return connection.execute(select(func.count()).where(ledger.c.run_id == run_id)).scalar_one()


def drop_ledger(connection: Connection, run_id: int, limit: int) -> int:
    """Delete up to `limit` ledger rows of a run with their outcomes, not the run itself; return their number."""
    query = select(ledger.c.customer_id).where(ledger.c.run_id == run_id).order_by(ledger.c.customer_id).limit(limit)
    found = connection.execute(query).scalars().all()
    if not found:
        return 0
    kept_figures.changed(connection)
    for table in (outcomes, ledger):
        of_run = and_(table.c.run_id == run_id, table.c.customer_id.between(found[0], found[-1]))
        gone = connection.execute(delete(table).where(of_run)).rowcount
    return gone


def old_audit(before: str) -> ColumnElement[bool]:
    """A condition: an audit row is older than a timestamp."""
    return audit.c.at < before


def old_jobs(before: str) -> ColumnElement[bool]:
    """A condition: a job ended before a timestamp, and no row that must have its job refers to it."""
    needed = [~exists().where(column == jobs.c.id) for column in _referring(nullable=False)]
    return and_(jobs.c.state.in_(FINAL), jobs.c.finished_at < before, *needed)


def old_results(before: str) -> ColumnElement[bool]:
    """A condition: a job ended before a timestamp and still has a result or error details."""
    there = or_(jobs.c.result_json.is_not(None), jobs.c.error_details_json.is_not(None))
    return and_(jobs.c.state.in_(FINAL), jobs.c.finished_at < before, there)


def count(
    connection: Connection, *, audit_before: str | None, jobs_before: str | None, results_before: str | None
) -> tuple[int, int, int]:
    """Return the numbers of audit rows, jobs and job results that would be deleted."""

    def one(table: Any, before: str | None, old: Any) -> int:
        if before is None:
            return 0
        return int(connection.execute(select(func.count()).select_from(table).where(old(before))).scalar_one())

    return (
        one(audit, audit_before, old_audit), one(jobs, jobs_before, old_jobs), one(jobs, results_before, old_results)
    )  # fmt: skip


def drop_audit(connection: Connection, before: str, limit: int) -> int:
    """Delete up to `limit` audit rows, oldest first; return their number."""
    ids = select(audit.c.id).where(old_audit(before)).order_by(audit.c.at).limit(limit)
    return connection.execute(delete(audit).where(audit.c.id.in_(ids))).rowcount


def drop_results(connection: Connection, before: str, limit: int) -> int:
    """Delete the results of up to `limit` ended jobs, not the jobs themselves; return their number."""
    ids = list(connection.execute(select(jobs.c.id).where(old_results(before)).limit(limit)).scalars())
    nothing = {"result_json": None, "error_details_json": None}
    return connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(nothing)).rowcount


def drop_jobs(connection: Connection, before: str, limit: int) -> int:
    """Delete up to `limit` ended jobs, not the models and runs they made; return their number."""
    query = select(jobs.c.id).where(old_jobs(before)).order_by(jobs.c.id).limit(limit)
    ids = list(connection.execute(query).scalars())
    for column in _referring(nullable=True):
        connection.execute(update(column.table).where(column.in_(ids)).values({column.name: None}))
    return connection.execute(delete(jobs).where(jobs.c.id.in_(ids))).rowcount


def _referring(*, nullable: bool) -> list[Any]:
    columns = [column for table in tables.metadata.sorted_tables for column in table.columns]
    return [column for column in columns if column.references(jobs.c.id) and column.nullable == nullable]

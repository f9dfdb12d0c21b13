"""Scoring runs: the ledger they append to, and the roll-up of their scores.

Law: rows are appended in chunks under the run's id and are not shown until `publish` switches one pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, and_, case, delete, func, insert, select, update

from database.engine import kept_figures
from database.engine.bulk_insert import AnyRow, insert_rows
from database.engine.expressions import ceiling
from database.scoring import ranks as present
from database.tables import tables
from shared.contracts.api import HORIZON_DAYS
from shared.errors import Conflict

runs, ledger, ranks = tables.scoring_runs, tables.ledger, tables.present_ranks
bins, pointer = tables.score_bins, tables.published_run

#: Scores are counted in bins (k-1, k] / BINS, so that any threshold with three decimals is exact.
BINS = 1000
SCORE_COLUMNS = (
    "churn_probability",
    "confidence",
    "out_of_fold",
    "reason_1",
    "points_1",
    "reason_2",
    "points_2",
    "reason_3",
    "points_3",
)
Kind = Literal["full", "sample", "past"]
Ending = Literal["done", "published"]
GONE = "Customers were deleted during scoring. Nothing of this run was stored; score again."


@dataclass(frozen=True)
class Published:
    """The run whose scores are shown."""

    run_id: int
    model_id: int
    model_version: str
    as_of: str
    published_at: str
    customers: int
    average_probability: float
    older_facts: int = 0
    facts_from: str | None = None


def start(
    connection: Connection,
    *,
    kind: Kind,
    model_id: int,
    as_of: str,
    facts_from: str | None = None,
    job_id: int | None,
    now: str,
) -> int:
    """Open a run and return its id."""
    used = func.coalesce(select(func.max(runs.c.ids_until)).scalar_subquery(), 0)
    newest = select(func.max(tables.customers.c.id)).scalar_subquery()
    values = {
        "kind": kind,
        "state": "running",
        "model_id": model_id,
        "as_of": as_of,
        "facts_from": facts_from,
        "horizon_days": HORIZON_DAYS,
        "job_id": job_id,
        "started_at": now,
        "ids_after": used,
        "ids_until": used + func.coalesce(newest, 0),
    }
    return connection.execute(insert(runs).values(values).returning(runs.c.id)).scalar_one()


def require_customers(connection: Connection, run_id: int, *, first_id: int, last_id: int, count: int) -> None:
    """Raise Conflict if the run, or one of the `count` customers added between two ids, no longer exists."""
    existing = ledger.join(tables.customers, tables.customers.c.id == ledger.c.customer_id)
    present = select(func.count()).select_from(existing.join(runs, runs.c.id == ledger.c.run_id))
    query = present.where(ledger.c.run_id == run_id, ledger.c.customer_id.between(first_id, last_id))
    if connection.execute(query).scalar_one() != count:
        raise Conflict(GONE)


def measure_bins(connection: Connection, run_id: int, *, shown: bool = True) -> list[tuple[Any, ...]]:
    """Count scores by bin: (bin, customers, probability_sum, revenue_at_risk, unpriced).

    Parameters
    ----------
    shown
        Count the scores displayed while this run is the published one, or else the run's own scores, as for a past run.
    """
    p, price = ledger.c.churn_probability, ledger.c.monthly_price
    query = select(
        ceiling(p * BINS).label("bin"),
        func.count(),
        func.sum(p),
        func.coalesce(func.sum(p * price), 0.0),
        func.sum(case((price.is_(None), 1), else_=0)),
    )
    if shown:
        query = query.select_from(tables.with_scores(ranks, ranks.c.customer_id, run_id)).where(
            ranks.c.run_id == run_id
        )
    else:
        query = query.where(ledger.c.run_id == run_id)
    return [tuple(row) for row in connection.execute(query.group_by("bin"))]


def store_bins(connection: Connection, run_id: int, measured: Sequence[Sequence[Any]]) -> None:
    """Replace a run's roll-up."""
    connection.execute(delete(bins).where(bins.c.run_id == run_id))
    columns = ("run_id", "bin", "customers", "probability_sum", "revenue_at_risk", "unpriced")
    insert_rows(connection, bins, columns, [(run_id, *row) for row in measured])


def finish(
    connection: Connection,
    run_id: int,
    *,
    state: Ending,
    customers: int,
    average: float | None,
    older_facts: int = 0,
    now: str,
) -> None:
    """Close a run with its number of customers and their mean probability."""
    # A run of a past date can become the one that the published run is compared with.
    kept_figures.changed(connection)
    connection.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(state=state, customers=customers, average_probability=average, older_facts=older_facts, finished_at=now)
    )


def publish(connection: Connection, run_id: int, now: str) -> None:
    """Publish a finished run, so that its scores are shown."""
    connection.execute(delete(pointer))
    connection.execute(insert(pointer).values(id=1, run_id=run_id, published_at=now))
    kept_figures.replaced(connection)


def published(connection: Connection) -> Published | None:
    """Return the run whose scores are shown; None if there is none."""
    query = (
        select(runs, tables.models.c.version, pointer.c.published_at)
        .join_from(pointer, runs, runs.c.id == pointer.c.run_id)
        .join(tables.models, tables.models.c.id == runs.c.model_id)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Published(
        run_id=row.id,
        model_id=row.model_id,
        model_version=row.version,
        as_of=row.as_of,
        published_at=row.published_at,
        customers=row.customers,
        average_probability=row.average_probability,
        older_facts=row.older_facts,
        facts_from=row.facts_from,
    )


def unfinished(connection: Connection, job_id: int) -> Sequence[int]:
    """Return the runs that were not finished, of a job and of those that have ended since."""
    others = select(tables.jobs.c.id).where(tables.jobs.c.state.in_(("queued", "running")), tables.jobs.c.id != job_id)
    query = select(runs.c.id).where(runs.c.job_id.not_in(others), runs.c.state == "running")
    return connection.execute(query).scalars().all()


def drop_rows(connection: Connection, run_id: int, limit: int) -> int:
    """Delete up to `limit` ranks or ledger rows of a run; return their number, 0 if none are left."""
    if gone := present.drop_some(connection, run_id, limit):
        return gone
    some = select(ledger.c.customer_id).where(ledger.c.run_id == run_id).limit(limit)
    query = delete(ledger).where(ledger.c.run_id == run_id, ledger.c.customer_id.in_(some))
    return connection.execute(query).rowcount


def drop(connection: Connection, run_id: int) -> None:
    """Delete a run whose rows have been deleted."""
    connection.execute(delete(bins).where(bins.c.run_id == run_id))
    connection.execute(delete(runs).where(runs.c.id == run_id))


def _unsettled() -> Any:
    o = tables.outcomes
    of = and_(o.c.run_id == ledger.c.run_id, o.c.customer_id == ledger.c.customer_id)
    return ~select(o.c.id).where(of).exists()


def without_outcome(connection: Connection, run_id: int) -> Sequence[int]:
    """Return the customers whose predictions in a run have no outcome yet, ascending."""
    query = select(ledger.c.customer_id).where(ledger.c.run_id == run_id, _unsettled())
    return connection.execute(query.order_by(ledger.c.customer_id)).scalars().all()


def dates_scored(connection: Connection) -> Sequence[AnyRow]:
    """Return (id, as_of) of finished runs, oldest first."""
    query = select(runs.c.id, runs.c.as_of).where(tables.is_finished).order_by(runs.c.id)
    return connection.execute(query).all()


def some_without_outcome(connection: Connection, run_id: int) -> bool:
    """Return whether a prediction of a run has no outcome yet."""
    query = select(ledger.c.customer_id).where(ledger.c.run_id == run_id, _unsettled()).limit(1)
    return connection.execute(query).one_or_none() is not None


def leavers_told(run_id: int) -> Select[Any]:
    """Select the customers whom an outcome of a run calls leavers, also if a later one corrects it."""
    o = tables.outcomes
    return select(o.c.customer_id).where(o.c.run_id == run_id, o.c.churned == 1)


def outcomes(connection: Connection, run_id: int, among: Any) -> dict[int, int]:
    """Return the newest outcome (1 left, 0 stayed) of each of these customers' predictions in a run."""
    o = tables.outcomes
    query = select(o.c.customer_id, o.c.churned).where(o.c.run_id == run_id, o.c.customer_id.in_(among))
    return {row.customer_id: row.churned for row in connection.execute(query.order_by(o.c.id))}


def add_outcomes(connection: Connection, run_id: int, rows: Sequence[tuple[int, int]], known_at: str) -> None:
    """Append outcomes of a run's predictions: (customer_id, churned)."""
    columns = ("run_id", "customer_id", "churned", "known_at")
    insert_rows(connection, tables.outcomes, columns, [(run_id, *row, known_at) for row in rows])

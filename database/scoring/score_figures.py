"""Figures of the published scores, read from the roll-ups of the published run.

Law: each figure follows its formula in docs/api.md#figures; a figure that can't be computed yet is None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, FromClause, func, select

from database.engine.bulk_insert import AnyRow
from database.scoring.runs import BINS
from database.tables import tables
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS
from shared.risk import HIGH_ABOVE, MEDIUM_ABOVE

b, runs, ledger = tables.score_bins, tables.scoring_runs, tables.ledger
ranks, pointer = tables.present_ranks, tables.published_run


@dataclass(frozen=True)
class Tail:
    """Customers of a run whose probability is above a threshold, and totals of the run.

    Attributes
    ----------
    customers, probability_sum, variance_above
        Number of customers above the threshold, their sum of p, their sum of p (1 - p).
    all_customers, expected, variance
        The same over all customers.
    revenue_at_risk
        Sum over all customers; None if a price is unknown.
    """

    customers: int
    probability_sum: float
    all_customers: int
    expected: float
    variance: float
    variance_above: float
    revenue_at_risk: float | None


def tail(connection: Connection, run_id: int, cut: float) -> Tail:
    """Count the customers above a threshold with at most three decimals.

    `revenue_at_risk` is over all customers (docs/definitions.md#revenue-at-risk); None if a price is unknown.
    """
    edge = round(cut * BINS)
    rows = bins(connection, run_id)
    above = [row for row in rows if row.bin > edge]
    priced = all(row.unpriced == 0 for row in rows)
    return Tail(
        customers=sum(row.customers for row in above),
        probability_sum=sum(row.probability_sum for row in above),
        all_customers=sum(row.customers for row in rows),
        expected=sum(row.probability_sum for row in rows),
        variance=_variance(rows),
        variance_above=_variance(above),
        revenue_at_risk=sum(row.revenue_at_risk for row in rows) if priced and rows else None,
    )


@dataclass(frozen=True)
class Step:
    """Customers of a run above a thousandth: number, sum of p, revenue at risk (None if a price is unknown)."""

    cut: float
    customers: int
    probability_sum: float
    revenue_at_risk: float | None


def steps(connection: Connection, run_id: int) -> list[Step]:
    """Return what each thousandth at which customers are catches, from the highest down."""
    found: list[Step] = []
    customers, probability, revenue, unpriced = 0, 0.0, 0.0, 0
    for row in reversed(bins(connection, run_id)):
        customers += row.customers
        probability += row.probability_sum
        revenue += row.revenue_at_risk
        unpriced += row.unpriced
        cut = max(0, row.bin - 1) / BINS
        found.append(Step(cut, customers, probability, None if unpriced else revenue))
    return found


def _variance(rows: Sequence[AnyRow]) -> float:
    # Within a bin, a thousandth wide, p (1 - p) is that of the mean to seven digits.
    return sum(row.probability_sum * (1 - row.probability_sum / row.customers) for row in rows)


def bins(connection: Connection, run_id: int) -> Sequence[AnyRow]:
    """Return a run's roll-up, by ascending bin."""
    return connection.execute(select(b).where(b.c.run_id == run_id).order_by(b.c.bin)).all()


def run_before(connection: Connection, as_of: str) -> int | None:
    """Return the last full run dated 30 days or more before `as_of`."""
    query = (
        select(runs.c.id)
        .where(
            runs.c.kind.in_(("full", "past")),
            tables.is_finished,
            runs.c.as_of <= days_later(as_of, -HORIZON_DAYS),
        )
        .order_by(runs.c.as_of.desc(), runs.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def distribution(connection: Connection, run_id: int | None) -> list[int]:
    """Count customers by probability rounded to one decimal: 11 counts for 0.0, 0.1 .. 1.0."""
    counts = [0] * 11
    for row in bins(connection, run_id) if run_id is not None else ():
        # A bin is (k-1, k] thousandths: round its middle, which never lies on a boundary.
        counts[int((row.bin - 0.5) / 100 + 0.5) if row.bin else 0] += row.customers
    return counts


def segments(connection: Connection, run_id: int | None) -> tuple[int, int, int]:
    """Count the customers at high, medium and low risk."""
    rows = bins(connection, run_id) if run_id is not None else ()
    high = sum(row.customers for row in rows if row.bin > HIGH_ABOVE * BINS)
    medium = sum(row.customers for row in rows if MEDIUM_ABOVE * BINS < row.bin <= HIGH_ABOVE * BINS)
    return high, medium, sum(row.customers for row in rows) - high - medium


def recent_predictions(connection: Connection, *, limit: int, since: str) -> tuple[Sequence[AnyRow], int]:
    """Return rows of the newest finished run, highest probability first, and the number of scores since a time.

    Customers of the published run who have left since are omitted.
    """
    newest = connection.execute(
        select(runs.c.id).where(tables.is_finished).order_by(runs.c.as_of.desc(), runs.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    total = connection.execute(
        select(func.coalesce(func.sum(runs.c.customers), 0)).where(
            tables.is_finished, runs.c.kind != "past", runs.c.started_at >= since
        )
    ).scalar_one()
    if newest is None:
        return [], int(total)
    shown = connection.execute(select(pointer.c.run_id)).scalar_one_or_none()
    if newest == shown:
        # Only the published run is ranked; the rows of any other run are sorted here.
        scored: FromClause = tables.with_scores(ranks, ranks.c.customer_id, newest)
        first, here = ranks.c.churn_probability, ranks.c.run_id == newest
    else:
        scored, first, here = ledger, ledger.c.churn_probability, ledger.c.run_id == newest
    query = (
        select(
            tables.prediction_id,
            tables.customers.c.user_id,
            ledger.c.churn_probability,
            ledger.c.confidence,
            runs.c.started_at.label("prediction_date"),
        )
        .select_from(scored)
        .join(runs, runs.c.id == ledger.c.run_id)
        .join(tables.customers, tables.customers.c.id == ledger.c.customer_id)
        .where(here)
        .order_by(first.desc(), ledger.c.customer_id if newest != shown else ranks.c.customer_id)
        .limit(limit)
    )
    return connection.execute(query).all(), int(total)

"""Roll-up of active customers and leavers by periods of 30 days, counted back from the last date with known ends.

Law: it is rebuilt when facts change, so that the dashboard reads a few rows, however large the base is.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from database.customers import facts, maturity
from database.tables import tables
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS

PERIODS = 13


@dataclass(frozen=True)
class Period:
    """One period [start, end) and its logo churn."""

    start: str
    end: str
    active_at_start: int
    left: int

    @property
    def rate(self) -> float | None:
        """Logo churn rate in [0, 1]; None if no customer was active."""
        return self.left / self.active_at_start if self.active_at_start else None


def measure(connection: Connection) -> list[Period]:
    """Compute the periods from the subscriptions, newest first; empty without subscriptions."""
    last, known, first = facts.last_date(connection), maturity.complete_to(connection), facts.first_start(connection)
    if last is None or known is None or first is None:
        return []
    # Before the first snapshot, only customers who stayed are known: the churn rate would be too low.
    earliest = facts.snapshot_dates(connection)[0]
    periods = []
    end = min(last, known)  # after that day not all ends are known: the churn rate would be too low
    for _ in range(PERIODS):
        start = days_later(end, -HORIZON_DAYS)
        if start < earliest:
            break
        periods.append(Period(start, end, *facts.churn_between(connection, start, end)))
        end = start
    return periods


def store(connection: Connection, periods: list[Period]) -> None:
    """Replace the roll-up."""
    connection.execute(delete(tables.population_history))
    if periods:
        connection.execute(
            insert(tables.population_history),
            [
                {"period_start": p.start, "period_end": p.end, "active_at_start": p.active_at_start, "left": p.left}
                for p in periods
            ],
        )


def history(connection: Connection) -> list[Period]:
    """Read the roll-up, newest period first."""
    h = tables.population_history
    rows = connection.execute(select(h).order_by(h.c.period_end.desc()))
    return [Period(r.period_start, r.period_end, r.active_at_start, r.left) for r in rows]

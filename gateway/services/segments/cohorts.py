"""The retention triangle, and why the churn rate moved between two periods.

Law: an interval stands beside each rate; a month that is not over is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from database.engine.session import Connection
from database.segments import cohorts
from database.segments.group_churn import GroupPeriod
from shared.wilson import wilson


@dataclass(frozen=True)
class Cell:
    """Customers of a cohort who were active at the end of a month, `age` months after the cohort's own."""

    age: int
    month: str
    active: int
    rate: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Cohort:
    """Customers by the month of their first subscription; a cell is None until its month is over."""

    month: str
    size: int
    cells: list[Cell | None]


def triangle(connection: Connection, limit: int) -> list[Cohort]:
    """Return the newest cohorts, oldest first, each with as many cells as the oldest; docs/definitions.md#cohorts."""
    found = list(cohorts.read(connection).items())[-limit:]
    width = max((len(rows) for _, rows in found), default=0)
    triangle = []
    for month, rows in found:
        size = rows[0].size
        known: list[Cell | None] = [
            Cell(age, row.month, row.active, row.active / size, wilson(row.active, size))
            for age, row in enumerate(rows)
        ]
        triangle.append(Cohort(month, size, known + [None] * (width - len(known))))
    return triangle


@dataclass(frozen=True)
class GroupChange:
    """One group's part in the change of a churn rate, in [-1, 1]."""

    value: str | None
    customers: tuple[int, int]
    left: tuple[int, int]
    mix: float
    rate: float


@dataclass(frozen=True)
class RateChange:
    """Change of the churn rate from one period to the next: `mix` + `rate` add up to it; groups add up to each."""

    before: float
    after: float
    mix: float
    rate: float
    groups: list[GroupChange]


def rate_change(newest: GroupPeriod, earlier: GroupPeriod) -> RateChange | None:
    """Split the change of the churn rate into mix and rate; see docs/definitions.md#mix-and-rate.

    Returns
    -------
    change
        None if nobody was a customer in one of the periods.
    """
    then, now = ({each.value: each for each in period.groups} for period in (earlier, newest))
    n_then, n_now = (sum(each.customers for each in side.values()) for side in (then, now))
    if not n_then or not n_now:
        return None
    before, after = (sum(g.left for g in side.values()) / n for side, n in ((then, n_then), (now, n_now)))
    groups = []
    for value in dict.fromkeys([*now, *then]):
        a, b = then.get(value), now.get(value)
        share = ((a.customers / n_then) if a else 0.0, (b.customers / n_now) if b else 0.0)
        # A group that is new, or gone, has one rate: all of its part is mix.
        rates = [g.left / g.customers for g in (a, b) if g]
        first, last = rates[0], rates[-1]
        # Against the mean of both periods' rates, a larger group of average churn adds nothing.
        mix = (share[1] - share[0]) * ((first + last) / 2 - (before + after) / 2)
        rate = (last - first) * (share[0] + share[1]) / 2
        counts = [(g.customers, g.left) if g else (0, 0) for g in (a, b)]
        groups.append(GroupChange(value, (counts[0][0], counts[1][0]), (counts[0][1], counts[1][1]), mix, rate))
    return RateChange(before, after, sum(each.mix for each in groups), sum(each.rate for each in groups), groups)

"""Life table of the subscriptions: how many of each age were at risk in a calendar month, and how many of them ended.

Law: a month counts only if its ends are known and it began after the first snapshot: before, only those who stayed are
known.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import Connection, func, or_, select

from database.customers import facts
from database.tables import tables
from shared.clock import days_later
from shared.lifetime import AtAge

s = tables.subscriptions
#: The newest months that count: hazards change with the years.
MONTHS = 12
TENTHS = 10


@dataclass(frozen=True)
class LifeTable:
    """Subscriptions at risk and ended, by age in months.

    Attributes
    ----------
    rows : list of AtAge
        Ascending by age. A subscription is counted once for each month that it was at risk in.
    ages : list of float
        Ages, in months, of the subscriptions that the last month began with: the median of each tenth, ascending.
    first_month, last_month : str
        ``"2025-07"``: the months that were counted.
    """

    rows: list[AtAge]
    ages: list[float]
    first_month: str
    last_month: str


def life_table(connection: Connection, today: str) -> LifeTable | None:
    """Count subscriptions by age, over the newest calendar months whose ends are known on an ISO date.

    Returns
    -------
    table
        None where starts are not dated (the oldest is that of the first snapshot), or no such month is over.
    """
    dates, first_start = facts.snapshot_dates(connection), facts.first_start(connection)
    if not dates or first_start is None or first_start >= dates[0]:
        return None
    end = month_of(days_later(today, 1))
    begin = max(month_of(days_later(dates[0], -1)) + 1, end - MONTHS)
    if begin >= end:
        return None
    spans = _spans(connection, month_name(begin))
    at_risk: Counter[int] = Counter()
    left: Counter[int] = Counter()
    for month in range(begin, end):
        for start, stop, count in spans:
            if start < month <= stop:
                at_risk[month - start] += count
                left[month - start] += count if stop == month else 0
    of_last: Counter[int] = Counter()
    for start, stop, count in spans:
        of_last[end - 1 - start] += count if start < end - 1 <= stop else 0
    if not of_last.total():
        return None
    # A subscription that started during a month is half a month old on average when the month ends.
    return LifeTable(
        rows=[AtAge(months - 0.5, at_risk[months], left[months]) for months in sorted(at_risk)],
        ages=[months - 0.5 for months in _medians_of_tenths(of_last)],
        first_month=month_name(begin),
        last_month=month_name(end - 1),
    )


def _spans(connection: Connection, since: str) -> Sequence[tuple[int, int, int]]:
    """Month of the start, month of the end and number of the subscriptions that had not ended before a month."""
    start, stop = func.substr(s.c.started_at, 1, 7).label("start"), func.substr(s.c.ended_at, 1, 7).label("stop")
    query = select(start, stop, func.count()).where(or_(s.c.ended_at.is_(None), s.c.ended_at >= since))
    never = month_of(facts.NEVER + "-12")
    return [
        (month_of(row[0]), never if row[1] is None else month_of(row[1]), row[2])
        for row in connection.execute(query.group_by("start", "stop"))
    ]


def _medians_of_tenths(counts: Counter[int]) -> Iterator[int]:
    values = sorted(counts)
    reached = list(accumulate(counts[value] for value in values))
    for tenth in range(TENTHS):
        yield values[bisect_left(reached, (tenth + 0.5) / TENTHS * reached[-1])]


def month_of(day: str) -> int:
    """Return the number of a date's month, counted from year 0."""
    return int(day[:4]) * 12 + int(day[5:7]) - 1


def month_name(month: int) -> str:
    """Return a month as ``"2026-01"``."""
    return f"{month // 12:04}-{month % 12 + 1:02}"

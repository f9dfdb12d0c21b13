"""Cohorts: customers by the month of their first subscription, and how many of them each later month ended with.

Law: a month counts once all ends up to its last day are known; a cohort counts if it began after the first snapshot:
of earlier customers, only those who stayed are known. See docs/definitions.md#cohorts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection, Select, delete, func, select

from database.customers import facts, maturity
from database.customers.lifetimes import month_name, month_of
from database.engine.bulk_insert import AnyRow, insert_rows
from database.tables import tables
from shared.clock import days_later

s, cells = tables.subscriptions, tables.cohort_months
#: The newest cohorts that are kept.
MONTHS = 36
_NEVER = 12 * 10_000
#: Month of the start and of the end (exclusive: not active at its end), counted from year 0.
Span = tuple[int, int]


def measure(connection: Connection, today: str) -> list[tuple[str, str, int, int]]:
    """Count the cohorts; an empty list where starts are not dated or no month is over.

    Returns
    -------
    rows of (cohort, month, size, active)
        Ascending; months as ``"2026-01"``.
    """
    dates, first, known = (
        facts.snapshot_dates(connection),
        facts.first_start(connection),
        maturity.complete_to(connection),
    )
    if not dates or first is None or first >= dates[0] or known is None:
        return []
    # A month is over on its last day.
    end = month_of(days_later(min(known, today), 1))
    begin = max(month_of(dates[0]) + 1, end - MONTHS)
    sizes, active = _counted(_customers(connection), begin, end)
    return [
        (month_name(cohort), month_name(month), sizes[cohort], active[cohort, month])
        for cohort in range(begin, end)
        if sizes[cohort]
        for month in range(cohort, end)
    ]


def _counted(
    customers: Iterable[tuple[Sequence[Span], int]], begin: int, end: int
) -> tuple[Counter[int], Counter[tuple[int, int]]]:
    sizes: Counter[int] = Counter()
    active: Counter[tuple[int, int]] = Counter()
    for spans, count in customers:
        cohort = min(start for start, _ in spans)
        if not begin <= cohort < end:
            continue
        sizes[cohort] += count
        for month in {month for start, stop in spans for month in range(start, min(stop, end))}:
            active[cohort, month] += count
    return sizes, active


def _customers(connection: Connection) -> Iterator[tuple[Sequence[Span], int]]:
    """Yield the spans of customers, and how many customers have them: those with one subscription are grouped."""
    start, stop = func.substr(s.c.started_at, 1, 7).label("start"), func.substr(s.c.ended_at, 1, 7).label("stop")
    several = _several()
    alone = select(start, stop, func.count()).where(s.c.customer_id.not_in(several)).group_by("start", "stop")
    for row in connection.execute(alone):
        yield [_span(row[0], row[1])], row[2]
    again = select(s.c.customer_id, start, stop).where(s.c.customer_id.in_(several)).order_by(s.c.customer_id)
    for _, rows in groupby(connection.execute(again), key=itemgetter(0)):
        yield [_span(row[1], row[2]) for row in rows], 1


def _several() -> Select[tuple[int]]:
    return select(s.c.customer_id).group_by(s.c.customer_id).having(func.count() > 1)


def _span(start: str, stop: str | None) -> Span:
    return month_of(start), _NEVER if stop is None else month_of(stop)


def store(connection: Connection, measured: Sequence[Sequence[object]]) -> None:
    """Replace the roll-up."""
    connection.execute(delete(cells))
    insert_rows(connection, cells, ("cohort", "month", "size", "active"), measured)


def read(connection: Connection) -> dict[str, list[AnyRow]]:
    """Return the rows (cohort, month, size, active) of each cohort, both ascending."""
    found: dict[str, list[AnyRow]] = defaultdict(list)
    for row in connection.execute(select(cells).order_by(cells.c.cohort, cells.c.month)):
        found[row.cohort].append(row)
    return found

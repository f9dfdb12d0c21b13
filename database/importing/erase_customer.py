"""Erases one customer: every row that refers to them, in whichever table; see docs/security.md#erasing-a-customer.

Law: a table with a column `customer_id` keeps no row of an erased customer; counts that name nobody stay. The caller
owns the transaction, and nothing else changes facts or scores meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select, update

from database.engine import kept_figures
from database.importing import erase_filters
from database.jobs.retention import FINAL
from database.scoring import contact_changes
from database.scoring import runs as scoring
from database.tables import tables

runs, ledger, ranks, snap = tables.scoring_runs, tables.ledger, tables.present_ranks, tables.customer_snapshots
c, jobs, bins = tables.customers, tables.jobs, tables.score_bins
#: Jobs whose results quote the rows of a file.
OF_FILES = ("preview", "propose-schema")
ERASED = "The message named a customer who was erased."


def fact_dates(connection: Connection) -> Sequence[str]:
    """Return every date with facts: the table of facts is looked up by date, then customer."""
    days = select(func.max(snap.c.as_of).label("day")).cte("days", recursive=True)
    earlier = select(func.max(snap.c.as_of)).where(snap.c.as_of < days.c.day).scalar_subquery()
    days = days.union_all(select(earlier).where(days.c.day.is_not(None)))
    return connection.execute(select(days.c.day).where(days.c.day.is_not(None))).scalars().all()


def erase(connection: Connection, customer_id: int, dates: Sequence[str]) -> tuple[dict[str, int], list[int]]:
    """Delete a customer and every row of theirs, and what stored filters and results of jobs tell of them.

    Parameters
    ----------
    dates
        Of `fact_dates`.

    Returns
    -------
    how many rows of each table, where there were any, and the segments that were deleted.
    """
    names = connection.execute(select(c.c.user_id, c.c.email).where(c.c.id == customer_id)).one()
    segments, cleared = erase_filters.erase(connection, customer_id)
    found = {"job results": _clear_results(connection, [each for each in names if each]), **cleared}
    _leave_roll_up(connection, customer_id)
    # Those that refer to others come first.
    for table in reversed(tables.metadata.sorted_tables):
        if "customer_id" in table.columns and table is not ledger:
            found[table.name] = connection.execute(delete(table).where(_is_theirs(table, customer_id, dates))).rowcount
    # The ranks are looked up by its scores.
    found[ledger.name] = connection.execute(delete(ledger).where(_is_theirs(ledger, customer_id, dates))).rowcount
    found[c.name] = connection.execute(delete(c).where(c.c.id == customer_id)).rowcount
    contact_changes.note_erasure(connection)
    kept_figures.replaced(connection)
    return {name: rows for name, rows in found.items() if rows}, segments


def _leave_roll_up(connection: Connection, customer_id: int) -> None:
    """Take a customer's displayed score out of the counts of the published run: lists take their totals from there."""
    shown = scoring.published(connection)
    if shown is None:
        return
    displayed = tables.with_scores(c, c.c.id, shown.run_id)
    query = select(ledger.c.churn_probability, ledger.c.monthly_price).select_from(displayed)
    row = connection.execute(query.where(c.c.id == customer_id, ledger.c.customer_id.is_not(None))).one_or_none()
    if row is None:
        return
    p, price = row
    theirs = (bins.c.run_id == shown.run_id, bins.c.bin == ceil(p * scoring.BINS))
    less = {
        bins.c.customers: bins.c.customers - 1,
        bins.c.probability_sum: bins.c.probability_sum - p,
        bins.c.revenue_at_risk: bins.c.revenue_at_risk - p * (price or 0.0),
        bins.c.unpriced: bins.c.unpriced - (price is None),
    }
    connection.execute(update(bins).where(*theirs).values({column.name: value for column, value in less.items()}))
    connection.execute(delete(bins).where(*theirs, bins.c.customers == 0))


def _is_theirs(table: Table, customer_id: int, dates: Sequence[str]) -> ColumnElement[bool]:
    """A condition for the rows of a customer, which begins as the table's key does."""
    theirs: ColumnElement[bool] = table.c.customer_id == customer_id
    if table is snap:
        return table.c.as_of.in_(dates) & theirs
    if "run_id" in table.columns:
        theirs = table.c.run_id.in_(select(runs.c.id)) & theirs
    if table is ranks:
        scores = select(ledger.c.churn_probability)
        theirs &= ranks.c.churn_probability.in_(scores.where(_is_theirs(ledger, customer_id, dates)))
    return theirs


def _clear_results(connection: Connection, names: Sequence[str]) -> int:
    """Delete what ended jobs told about somebody, by name, and about any file; return of how many jobs."""
    told = (jobs.c.result_json, jobs.c.error_details_json, jobs.c.error_message)
    written = {each for name in names for each in _as_written(name)}
    is_named = {column: or_(*(column.contains(each, autoescape=True) for each in written)) for column in told}
    # They quote a file as it is: a name can stand in it with blanks, or amid other text.
    is_named[jobs.c.result_json] |= jobs.c.kind.in_(OF_FILES) & jobs.c.result_json.is_not(None)
    ended = jobs.c.state.in_(FINAL)
    query = select(func.count()).select_from(jobs).where(ended, or_(*is_named.values()))
    count: int = connection.execute(query).scalar_one()
    for column, condition in is_named.items():
        left = ERASED if column is jobs.c.error_message else None
        connection.execute(update(jobs).where(ended, condition).values({column.name: left}))
    return count


def _as_written(name: str) -> set[str]:
    """How a name stands in a result: as a value, or quoted in a sentence, in JSON or in plain text."""
    quoted = repr(name)
    plain = {json.dumps(name), json.dumps(name, ensure_ascii=False), quoted}
    return plain | {json.dumps(quoted)[1:-1], json.dumps(quoted, ensure_ascii=False)[1:-1]}

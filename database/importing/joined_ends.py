"""Finds ends in a file that can't have been known on the dates of its rows: features joined to today's subscriptions.

Law: only counts; what is done about it is the importer's to say (docs/importing.md#ends-of-today).
"""

from __future__ import annotations

from sqlalchemy import case, func, literal, select

from database.engine.expressions import days_after
from database.engine.session import Connection, Database
from database.importing.staging import Staging

#: Days that a cancelled subscription usually still runs at most: a month, and some.
AHEAD_DAYS = 45
#: Share of a date's rows, and number of rows, whose ends may lie farther ahead.
SHARE, COUNT = 0.01, 2
#: Share of the rows before their customer's end that may have it.
MOST = 0.5
REMEDY = (
    "If the file joins the facts of those days to today's subscriptions, everybody who left later is missing in "
    "training: import it with --ends-are-of-today (`ends_are_of_today`)."
)
AHEAD = "{rows:,} of {total:,} rows of {day} have an end more than {days} days ahead{more}. {remedy}"
KNOWN = "{rows:,} of {total:,} rows of customers who left later have their end already. {remedy}"


def notes(database: Database, staging: Staging) -> list[str]:
    """Return notes on ends that were hardly known on the dates of their rows."""
    if not (staging.has("start") and staging.has("end")):
        return []
    with staging.attached(database) as attached, attached.read() as connection:
        return _far_ahead(connection, staging) or _known_before(connection, staging)


def _far_ahead(connection: Connection, staging: Staging) -> list[str]:
    r, end = staging.rows, staging.role("end")
    ahead = func.count(case((end > days_after(r.c.as_of, literal(AHEAD_DAYS)), 1))).label("ahead")
    counted = (
        select(r.c.as_of, func.count().label("total"), ahead).group_by(r.c.as_of).order_by(ahead.desc(), r.c.as_of)
    )
    found = [row for row in connection.execute(counted) if row.ahead > max(SHARE * row.total, COUNT)]
    if not found:
        return []
    first, further = found[0], len(found) - 1
    more = f", as have rows of {further:,} further date{'s' if further > 1 else ''}" if further else ""
    told = {"rows": first.ahead, "total": first.total, "day": first.as_of, "days": AHEAD_DAYS, "more": more}
    return [AHEAD.format(**told, remedy=REMEDY)]


def _known_before(connection: Connection, staging: Staging) -> list[str]:
    r, end = staging.rows, staging.role("end")
    last = select(func.max(r.c.as_of)).scalar_subquery()
    left = select(r.c.customer_id, func.max(end).label("left")).where(end <= last).group_by(r.c.customer_id).subquery()
    before = select(func.count(), func.count(end)).join_from(r, left, left.c.customer_id == r.c.customer_id)
    total, known = connection.execute(before.where(r.c.as_of < left.c.left)).one()
    return [KNOWN.format(rows=known, total=total, remedy=REMEDY)] if known > max(MOST * total, COUNT) else []

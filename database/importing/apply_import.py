"""Changes that an import makes beyond its own rows: absent customers, first lifetimes, hidden scores.

Law: every statement can be repeated; each changes a range of customers in a short transaction of the caller.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, insert, literal, or_, select, update

from database.engine.expressions import larger, middle
from database.scoring import ranks
from database.tables import tables

c, s, k = tables.customers, tables.subscriptions, tables.customer_snapshots


def has_dates_between(connection: Connection, first: str, last: str) -> bool:
    """Return whether the database has facts of these dates."""
    query = select(k.c.id).where(k.c.as_of >= first, k.c.as_of <= last).limit(1)
    return connection.execute(query).one_or_none() is not None


def declare_gone(connection: Connection, as_of: str, now: str, after: int, until: int) -> int:
    """End customers absent from a full snapshot, with `after` < id <= `until`; return their number.

    They left after they were last seen, by the snapshot's date: the end is dated in the middle, both dates are kept.
    """
    _absent_earlier(connection, as_of, now, after, until)
    absent = (c.c.id > after, c.c.id <= until, c.c.churn == 0, c.c.as_of < as_of)
    runs = (s.c.started_at <= as_of, or_(s.c.ended_at.is_(None), s.c.ended_at > as_of))
    theirs = s.c.customer_id.in_(select(c.c.id).where(*absent))
    last_facts = select(c.c.as_of).where(c.c.id == s.c.customer_id).scalar_subquery()
    ended = {**absence(larger(last_facts, s.c.started_at), literal(as_of)), "end_reason": "absent"}
    ended |= {"cancelled_at": None, "known_at": now, "told_on": as_of}
    connection.execute(update(s).where(theirs, *runs).values(ended))
    left = {"churn": 1, "ends_on": None, "updated_at": now}
    return connection.execute(update(c).where(*absent).values(left)).rowcount


def absence(seen_until: ColumnElement[Any], absent_from: ColumnElement[Any]) -> dict[str, Any]:
    """Return the columns of an end that lies in (seen_until, absent_from]."""
    return {"seen_until": seen_until, "absent_from": absent_from, "ended_at": middle(seen_until, absent_from)}


def _absent_earlier(connection: Connection, as_of: str, now: str, after: int, until: int) -> None:
    """Narrow the ends of customers who are absent from this snapshot and were declared gone by a later one."""
    theirs = (s.c.customer_id > after, s.c.customer_id <= until)
    around = (s.c.seen_until < as_of, s.c.absent_from > as_of)
    given_up = select(tables.imports.c.id).where(tables.imports.c.state == "failed")
    seen = exists().where(k.c.as_of == as_of, k.c.customer_id == s.c.customer_id, k.c.import_id.not_in(given_up))
    narrowed = {**absence(s.c.seen_until, literal(as_of)), "known_at": now, "told_on": as_of}
    connection.execute(update(s).where(*theirs, *around, ~seen).values(narrowed))


def open_lifetimes(connection: Connection, day: str, now: str, after: int, until: int) -> None:
    """Give each active customer with facts of `day` but no lifetime a lifetime that starts on `day`."""
    values = (c.c.id, literal(day), c.c.plan, c.c.monthly_price, c.c.currency, literal(now))
    source = (
        select(*values)
        .distinct()
        .join_from(k, c, c.c.id == k.c.customer_id)
        .where(k.c.as_of == day, k.c.customer_id > after, k.c.customer_id <= until, c.c.churn == 0)
        .where(~exists().where(s.c.customer_id == c.c.id))
    )
    columns = ["customer_id", "started_at", "plan", "monthly_price", "currency", "known_at"]
    connection.execute(insert(s).from_select(columns, source))


def hide_gone(connection: Connection, run_id: int, after: int, until: int) -> None:
    """Hide the present scores of customers who have left or have a known end."""
    gone = select(c.c.id).where(c.c.id > after, c.c.id <= until, (c.c.churn == 1) | c.c.ends_on.is_not(None))
    ranks.drop(connection, run_id, gone)

"""Counters of requests and of wrong passwords, shared by all processes.

Law: counting is one statement under the write lock, so that of simultaneous requests exactly the allowed number passes.
"""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, or_, select, update

from database.engine.upsert import upsert
from database.tables import tables

r = tables.rate_limits
#: A window that ends this much later than one that starts now was started before the clock was set back, and would last
#: too long. (Smaller differences are normal: a request that waited for the lock has an older timestamp.)
SLACK_S = 60.0


def hit(connection: Connection, key: str, *, window_s: float, now_s: float) -> tuple[int, float]:
    """Count one request in its window; start a window if none is open.

    Parameters
    ----------
    connection
        Inside a write transaction.
    key
        The caller and kind of request to count.
    window_s
        Length of a window in seconds.
    now_s
        The present time, seconds since 1970.

    Returns
    -------
    tuple of int and float
        Requests in this window, including this one, and its end, seconds since 1970.
    """
    too_long = and_(r.c.key == key, r.c.expires_at_s > now_s + window_s + SLACK_S)
    connection.execute(delete(r).where(or_(r.c.expires_at_s <= now_s, too_long)))
    first = {"key": key, "count": 1, "expires_at_s": now_s + window_s}
    statement = upsert(r, first, key=["key"], changes=lambda new: {"count": r.c.count + 1})
    row = connection.execute(statement.returning(r.c.count, r.c.expires_at_s)).one()
    return int(row[0]), float(row[1])


def count_of(connection: Connection, key: str, *, now_s: float) -> tuple[int, float]:
    """Return the count and end of the open window without counting; 0 and now if none is open."""
    query = select(r.c.count, r.c.expires_at_s).where(r.c.key == key, r.c.expires_at_s > now_s)
    row = connection.execute(query).one_or_none()
    return (int(row[0]), float(row[1])) if row else (0, now_s)


def give_back(connection: Connection, key: str) -> None:
    """Subtract one from a count."""
    connection.execute(update(r).where(r.c.key == key, r.c.count > 0).values(count=r.c.count - 1))


def keep(connection: Connection, key: str, *, until_s: float) -> None:
    """Store a key until a time, seconds since 1970."""
    row = {"key": key, "count": 1, "expires_at_s": until_s}
    connection.execute(upsert(r, row, key=["key"], changes=lambda new: {"expires_at_s": new.expires_at_s}))

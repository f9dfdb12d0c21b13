"""Counters of the rate limits and of wrong passwords, that all processes share.

Law: counting is one statement under the write lock, so that of many requests at once exactly the allowed number passes.
"""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, or_, select, update

from database.engine.upsert import upsert
from database.tables import tables

r = tables.rate_limits
#: A window that ends so much later than one that begins now was begun before the clock was put back, and would last too
#: long. (Whoever waited for the lock has an older moment than who was let in before: that is no such thing.)
SLACK_S = 60.0


def hit(connection: Connection, key: str, *, window_s: float, now_s: float) -> tuple[int, float]:
    """Count one request in its window, starting a window where none runs.

    Parameters
    ----------
    connection
        Inside a write transaction.
    key
        The caller and the kind of request that are counted together.
    window_s
        Length of a window, seconds.
    now_s
        The present moment, seconds since 1970.

    Returns
    -------
    tuple of int and float
        Requests in this window, this one included, and when it ends, seconds since 1970.
    """
    too_long = and_(r.c.key == key, r.c.expires_at_s > now_s + window_s + SLACK_S)
    connection.execute(delete(r).where(or_(r.c.expires_at_s <= now_s, too_long)))
    first = {"key": key, "count": 1, "expires_at_s": now_s + window_s}
    statement = upsert(r, first, key=["key"], changes=lambda new: {"count": r.c.count + 1})
    row = connection.execute(statement.returning(r.c.count, r.c.expires_at_s)).one()
    return int(row[0]), float(row[1])


def count_of(connection: Connection, key: str, *, now_s: float) -> tuple[int, float]:
    """The count in the window that runs and its end, without counting; 0 and now where none runs."""
    query = select(r.c.count, r.c.expires_at_s).where(r.c.key == key, r.c.expires_at_s > now_s)
    row = connection.execute(query).one_or_none()
    return (int(row[0]), float(row[1])) if row else (0, now_s)


def give_back(connection: Connection, key: str) -> None:
    """Take one count back."""
    connection.execute(update(r).where(r.c.key == key, r.c.count > 0).values(count=r.c.count - 1))


def keep(connection: Connection, key: str, *, until_s: float) -> None:
    """Remember a key until a moment, seconds since 1970."""
    row = {"key": key, "count": 1, "expires_at_s": until_s}
    connection.execute(upsert(r, row, key=["key"], changes=lambda new: {"expires_at_s": new.expires_at_s}))

"""Counters of the rate limits that all processes share.

Law: counting is one statement under the write lock, so that of many requests at once exactly the allowed number passes.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete

from database.engine.upsert import upsert
from database.tables import tables

r = tables.rate_limits


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
    connection.execute(delete(r).where(r.c.expires_at_s <= now_s))
    first = {"key": key, "count": 1, "expires_at_s": now_s + window_s}
    statement = upsert(r, first, key=["key"], changes=lambda new: {"count": r.c.count + 1})
    row = connection.execute(statement.returning(r.c.count, r.c.expires_at_s)).one()
    return int(row[0]), float(row[1])

"""Records when each worker was last seen.

Law: a timestamp in the future is ignored: the clock has been set back since.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from database.tables import tables

w = tables.workers


def seen(connection: Connection, name: str, now: str) -> None:
    """Record that a worker is running now."""
    if connection.execute(update(w).where(w.c.name == name).values(seen_at=now)).rowcount == 0:
        connection.execute(insert(w).values(name=name, seen_at=now))


def any_seen(connection: Connection, *, since: str, until: str) -> bool:
    """Return whether any worker was last seen between two timestamps."""
    query = select(w.c.name).where(w.c.seen_at.between(since, until)).limit(1)
    return connection.execute(query).one_or_none() is not None

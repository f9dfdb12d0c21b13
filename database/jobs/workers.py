"""Workers that say they are there.

Law: a moment that lies ahead of the clock says nothing: the clock was put back since.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from database.tables import tables

w = tables.workers


def seen(connection: Connection, name: str, now: str) -> None:
    """A worker says that it is there."""
    if connection.execute(update(w).where(w.c.name == name).values(seen_at=now)).rowcount == 0:
        connection.execute(insert(w).values(name=name, seen_at=now))


def any_seen(connection: Connection, *, since: str, until: str) -> bool:
    """Whether any worker said so between two moments."""
    query = select(w.c.name).where(w.c.seen_at.between(since, until)).limit(1)
    return connection.execute(query).one_or_none() is not None

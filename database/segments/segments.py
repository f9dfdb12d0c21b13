"""Segments: views of customers that people saved, each with the query string of its list.

Law: a segment is seen by its owner, and by everybody once it is shared.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, delete, insert, or_, select, update

from database.engine.bulk_insert import AnyRow
from database.tables import tables

g, u = tables.segments, tables.users
#: Segments that one person can have.
MOST_OF_ONE = 200


def _seen_by(user_id: int | None) -> Select[Any]:
    query = select(g, u.c.name.label("owner")).outerjoin(u, u.c.id == g.c.owner_id)
    return query if user_id is None else query.where(or_(g.c.owner_id == user_id, g.c.shared == 1))


def page(connection: Connection, user_id: int, *, limit: int, after_id: int = 0) -> list[AnyRow]:
    """Return the segments that a person sees, in the order they were made."""
    return list(connection.execute(_seen_by(user_id).where(g.c.id > after_id).order_by(g.c.id).limit(limit)))


def one(connection: Connection, user_id: int | None, segment_id: int) -> AnyRow | None:
    """Return a segment that a person sees, or any if no person asks; None if there is none of this id."""
    return connection.execute(_seen_by(user_id).where(g.c.id == segment_id)).one_or_none()


def named(connection: Connection, owner_id: int, name: str) -> int | None:
    """Return the id of a person's own segment by its name."""
    return connection.execute(select(g.c.id).where(g.c.owner_id == owner_id, g.c.name == name)).scalar_one_or_none()


def count(connection: Connection, owner_id: int) -> int:
    """Return how many segments a person has, at most one more than allowed."""
    query = select(g.c.id).where(g.c.owner_id == owner_id).limit(MOST_OF_ONE + 1)
    return len(connection.execute(query).all())


def add(connection: Connection, *, owner_id: int, name: str, query: str, shared: bool, now: str) -> int:
    """Add a segment and return its id."""
    values = {"owner_id": owner_id, "name": name, "query": query, "shared": int(shared)}
    adding = insert(g).values(values | {"created_at": now, "updated_at": now}).returning(g.c.id)
    return int(connection.execute(adding).scalar_one())


def change(connection: Connection, segment_id: int, values: dict[str, Any]) -> None:
    """Change columns of a segment."""
    connection.execute(update(g).where(g.c.id == segment_id).values(values))


def drop(connection: Connection, segment_id: int) -> None:
    """Delete a segment."""
    connection.execute(delete(g).where(g.c.id == segment_id))

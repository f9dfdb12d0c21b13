"""The worklist: who looks after a customer, how far they are, a note, and when it is due.

Law: each change adds a row to the history, which nothing changes. `saved` is what a person says of their own work,
never a measured effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, or_, select

from database.customers import contacting
from database.engine.bulk_insert import AnyRow
from database.engine.upsert import upsert
from database.tables import tables

w, h, u = tables.worklist, tables.worklist_history, tables.users
c = tables.customers
#: Statuses after which nothing is due.
CLOSED = ("saved", "lost")
VALUES = ("status", "owner_id", "note", "due_on")


def one(connection: Connection, customer_id: int) -> AnyRow | None:
    """Return what the worklist says of a customer, with the owner's name; None if it has nothing."""
    query = select(w, u.c.name.label("owner")).outerjoin(u, u.c.id == w.c.owner_id)
    return connection.execute(query.where(w.c.customer_id == customer_id)).one_or_none()


def history(connection: Connection, customer_id: int, *, limit: int, before_id: int | None = None) -> list[AnyRow]:
    """Return what the worklist said of a customer after each change, newest first, and who made it."""
    by = u.alias("by")
    query = (
        select(h, u.c.name.label("owner"), by.c.name.label("changed_by"))
        .outerjoin(u, u.c.id == h.c.owner_id)
        .outerjoin(by, by.c.id == h.c.updated_by)
        .where(h.c.customer_id == customer_id)
    )
    if before_id is not None:
        query = query.where(h.c.id < before_id)
    return list(connection.execute(query.order_by(h.c.id.desc()).limit(limit)))


def due(connection: Connection, by: str, *, limit: int) -> tuple[list[AnyRow], int, int]:
    """Read what is due up to a day, the earliest first: not yet saved or lost.

    Returns
    -------
    rows of (user_id, status, due_on, owner) of customers who may be contacted, how many these are without the limit,
    and how many more may not be contacted.
    """
    rest = [w.c.due_on <= by, w.c.status.not_in(CLOSED)]
    allowed = [*rest, *contacting.is_allowed(connection, w.c.customer_id)]
    total, count = (
        connection.execute(select(func.count()).select_from(w).where(*where)).scalar_one() for where in (rest, allowed)
    )
    query = (
        select(c.c.user_id, w.c.status, w.c.due_on, u.c.name.label("owner"))
        .join_from(w, c, c.c.id == w.c.customer_id)
        .outerjoin(u, u.c.id == w.c.owner_id)
        .where(*allowed)
        .order_by(w.c.due_on, w.c.customer_id)
        .limit(limit)
    )
    return list(connection.execute(query)), count, total - count


def of(connection: Connection, customer_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return `VALUES` of the customers who are on the worklist, by key."""
    query = select(w.c.customer_id, *(w.c[name] for name in VALUES)).where(w.c.customer_id.in_(list(customer_ids)))
    return {key: dict(zip(VALUES, values, strict=True)) for key, *values in connection.execute(query)}


def put(connection: Connection, entries: Mapping[int, Mapping[str, Any]], *, user_id: int, now: str) -> None:
    """Replace what the worklist says of customers, and add it to the history.

    Parameters
    ----------
    entries
        All of `VALUES`, by the customer's key; a few thousand at most.
    """
    about = {"updated_at": now, "updated_by": user_id}
    rows = [{"customer_id": key, **values, **about} for key, values in entries.items()]
    if rows:
        connection.execute(
            upsert(w, rows, key=["customer_id"], changes=lambda new: {name: new[name] for name in (*VALUES, *about)})
        )
        connection.execute(insert(h), rows)


def meets(
    customer_id: ColumnElement[int],
    statuses: tuple[str | None, ...],
    owners: tuple[int | None, ...],
    due_by: str | None,
) -> list[ColumnElement[bool]]:
    """Return conditions on a customer's place on the worklist; None among the values: has none."""
    found = []
    for column, values in ((w.c.status, statuses), (w.c.owner_id, owners)):
        if values:
            known = [value for value in values if value is not None]
            without = [customer_id.not_in(_those(column.is_not(None)))] if None in values else []
            found.append(or_(*without, *([customer_id.in_(_those(column.in_(known)))] if known else [])))
    if due_by is not None:
        found.append(customer_id.in_(_those(w.c.due_on <= due_by)))
    return found


def _those(condition: ColumnElement[bool]) -> Select[Any]:
    return select(w.c.customer_id).where(condition)

"""Figures that take a pass over all customers, kept for as long as the present state lasts.

Law: whoever changes the present state (customers, their lifetimes, displayed scores) calls `changed` in the same
transaction, or `replaced` if figures of before would be about something else: another run is shown, the base or its
schema is another, somebody was erased. A figure is returned only in the state in which it was measured; one that was
costly to measure may be a minute old while rows change (`database.engine.once`).

The worker stores the figures that everybody asks for. Before it has, each process measures a figure once, for all who
ask for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, func, insert, select, update

from database.engine.bulk_insert import insert_rows
from database.engine.once import OncePerState, State
from database.tables import tables

T = TypeVar("T")
state, kept = tables.present_state, tables.kept_figures
#: Kept beside each set of figures, also an empty one: it says which state was measured.
_MEASURED = ""


def changed(connection: Connection) -> None:
    """Begin a new version of the present state by a change of rows: what is stored no longer holds."""
    _begin_version(connection, version=state.c.version + 1)


def replaced(connection: Connection) -> None:
    """Begin a new version of the present state, in which no figure of before may be returned."""
    _begin_version(connection, version=state.c.version + 1, replaced=state.c.version + 1)


def _begin_version(connection: Connection, **values: Any) -> None:
    if connection.execute(update(state).values(values)).rowcount == 0:
        connection.execute(insert(state).values(id=1, version=1, replaced=1))


def get(connection: Connection, name: str) -> Any:
    """Return a figure of the present state; None if none is kept."""
    query = select(kept.c.value_json).where(kept.c.name == name, kept.c.version == _present_version())
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else json.loads(found)


def get_or_measure(connection: Connection, name: str, measure: Callable[[], T], *, is_exact: bool = False) -> T:
    """Return a figure of the present state: the stored one, or else one that this process measures or has measured.

    Parameters
    ----------
    measure
        Makes the pass on `connection`. Threads that ask for the same figure meanwhile wait for it.
    is_exact
        Return no figure of an earlier state, however costly it is.
    """
    found: T | None = get(connection, name)
    measured: OncePerState | None = connection.get_execution_options().get("measured")
    if measured is None:
        return measure() if found is None else found
    present = state_of(connection)
    if found is None:
        return measured.get(name, present._replace(replaced=present.version) if is_exact else present, measure)
    measured.put(name, present, found)
    return found


def version(connection: Connection) -> int:
    """Return the version of the present state; versions only rise."""
    return int(connection.execute(select(_present_version())).scalar_one())


def state_of(connection: Connection, about: Hashable = None) -> State:
    """Return the present state, with what else a value depends on."""
    row = connection.execute(select(state.c.version, state.c.replaced)).one_or_none()
    return State(row.version, row.replaced, about) if row is not None else State(0, 0, about)


def version_to_measure(connection: Connection) -> int | None:
    """Return the version of the present state; None if its figures are kept already."""
    if get(connection, _MEASURED):
        return None
    return version(connection)


def store(connection: Connection, measured: int, figures: Mapping[str, Any]) -> bool:
    """Replace what is kept by the figures of a version; return whether it still was the present one."""
    if version(connection) != measured:
        return False
    connection.execute(delete(kept))
    rows = [(name, measured, json.dumps(value)) for name, value in {**figures, _MEASURED: True}.items()]
    insert_rows(connection, kept, ("name", "version", "value_json"), rows)
    return True


def forget(connection: Connection) -> None:
    """Remove what is stored: another release may have measured it, and meant something else by a name."""
    connection.execute(delete(kept))


def _present_version() -> Any:
    return select(func.coalesce(func.max(state.c.version), 0)).scalar_subquery()

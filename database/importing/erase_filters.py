"""Takes an erased customer out of the filters that people stored: of segments, campaigns and jobs.

Law: no stored filter keeps the customer's id or address, nor the beginning of one that nobody else has; other filters
stay. A segment with such a filter is deleted whole: without it, it would be a list of everybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import Connection, Table, delete, or_, select, update

from database.engine.expressions import begins_with
from database.tables import tables

c, g, campaigns, jobs = tables.customers, tables.segments, tables.campaigns, tables.jobs
#: Filters whose value is a customer's id or address, or how one begins.
NAMING = ("q", "customer_id")
#: Replaces the value of a filter. A queued job with this filter finds nobody.
ERASED = "(erased)"
Pairs = Sequence[Sequence[str]]
Tells = Callable[[str], bool]


def erase(connection: Connection, customer_id: int) -> tuple[list[int], dict[str, int]]:
    """Delete the segments, and clear the filters of campaigns and jobs, that tell of a customer.

    The customer's own row must still be there.

    Returns
    -------
    ids of the deleted segments, and how many rows were deleted or changed.
    """
    tells = _telling(connection, customer_id)
    rows = connection.execute(select(g.c.id, g.c.query)).all()
    segments = [key for key, query in rows if _tell(parse_qsl(query, keep_blank_values=True), tells)]
    connection.execute(delete(g).where(g.c.id.in_(segments)))
    return segments, {
        g.name: len(segments),
        "filters of campaigns": _clear(connection, campaigns, "filters_json", tells),
        # The result of an export or a campaign says its filters too.
        "filters of jobs": sum(_clear(connection, jobs, column, tells) for column in ("params_json", "result_json")),
    }


def _telling(connection: Connection, customer_id: int) -> Tells:
    """Return whether a text is a customer's id or address, or begins with what no other customer's begins with."""
    names = connection.execute(select(c.c.user_id, c.c.email).where(c.c.id == customer_id)).one()
    own = {each.lower() for each in names if each}

    @cache
    def tells(text: str) -> bool:
        if text.lower() in own:
            return True
        if not any(each.startswith(text.lower()) for each in own):
            return False
        begins = or_(begins_with(c.c.user_id, text), begins_with(c.c.email, text))
        return connection.execute(select(c.c.id).where(begins, c.c.id != customer_id).limit(1)).first() is None

    return tells


def _tell(pairs: Iterable[Sequence[str]], tells: Tells) -> bool:
    return any(name in NAMING and value != "" and tells(value) for name, value in pairs)


def _clear(connection: Connection, table: Table, column: str, tells: Tells) -> int:
    """Write `ERASED` for each value that tells of the customer; return in how many rows."""
    asked = select(table.c.id, table.c[column]).where(or_(*(table.c[column].contains(f'"{name}"') for name in NAMING)))
    cleared = 0
    for key, text in connection.execute(asked).all():
        stored: Any = json.loads(text)
        pairs: Pairs = stored if isinstance(stored, list) else stored.get("filters", ())
        if not _tell(pairs, tells):
            continue
        left = [[name, ERASED if _tell([(name, value)], tells) else value] for name, value in pairs]
        told = json.dumps(left if isinstance(stored, list) else {**stored, "filters": left})
        connection.execute(update(table).where(table.c.id == key).values({column: told}))
        cleared += 1
    return cleared

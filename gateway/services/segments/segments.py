"""Saves, changes and deletes segments.

Law: a query is read as a list of customers reads it before it is kept. The owner changes a segment; an administrator
changes shared ones too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from database.accounts import audit
from database.accounts.audit import Actor
from database.customers import customer_base
from database.engine.bulk_insert import AnyRow
from database.engine.session import Connection, Database
from database.segments import segments
from gateway.services.customers.filtering import parse, parse_shown, parse_sort
from shared.clock import Clock, iso
from shared.errors import Conflict, Forbidden, InvalidInput, NoCustomers, NotFound, invalid
from shared.schema.features import Schema

NO_BASE = "There are no customers yet, so no filter can be checked: import a table first."
TAKEN = "You have a segment of this name already."
NOT_YOURS = "Only its owner, or an administrator if it is shared, may change a segment."
MOST = f"You have {segments.MOST_OF_ONE} segments already: delete one first."
#: Parameters of a list that a segment keeps beside its filters.
KEPT = ("sort", "show")


class Person(NamedTuple):
    """The person who saves or changes a segment."""

    user_id: int
    is_admin: bool
    actor: Actor


def create(
    database: Database, who: Person, *, name: str, query: str, shared: bool, unsure_below: float, clock: Clock
) -> AnyRow:
    """Save a segment.

    Raises
    ------
    InvalidInput
        The query has a filter or sort that can't be read.
    Conflict
        The person has one of this name, or too many.
    NoCustomers
    """
    now = iso(clock())
    with database.write() as connection:
        _require_readable(connection, query, unsure_below)
        if segments.named(connection, who.user_id, name) is not None:
            raise Conflict(TAKEN)
        if segments.count(connection, who.user_id) >= segments.MOST_OF_ONE:
            raise Conflict(MOST)
        made = segments.add(connection, owner_id=who.user_id, name=name, query=query, shared=shared, now=now)
        audit.record(connection, "segment.created", at=now, actor=who.actor, subject=f"segment {made}")
        return _seen(connection, who, made)


def change(
    database: Database, who: Person, segment_id: int, given: Mapping[str, Any], *, unsure_below: float, clock: Clock
) -> AnyRow:
    """Change name, query or sharing; raises as `create` does, NotFound and Forbidden."""
    now = iso(clock())
    with database.write() as connection:
        present = _changeable(connection, who, segment_id)
        if "query" in given:
            _require_readable(connection, given["query"], unsure_below)
        if given.get("name", present.name) != present.name and segments.named(
            connection, present.owner_id, given["name"]
        ):
            raise Conflict(TAKEN)
        values = {name: int(value) if name == "shared" else value for name, value in given.items()}
        segments.change(connection, segment_id, values | {"updated_at": now})
        audit.record(connection, "segment.changed", at=now, actor=who.actor, subject=f"segment {segment_id}")
        # An administrator who ends the sharing of somebody else's segment no longer sees it.
        return _seen(connection, who._replace(user_id=present.owner_id), segment_id)


def delete(database: Database, who: Person, segment_id: int, *, clock: Clock) -> AnyRow:
    """Delete a segment and return it as it was; raises NotFound and Forbidden."""
    with database.write() as connection:
        present = _changeable(connection, who, segment_id)
        segments.drop(connection, segment_id)
        audit.record(connection, "segment.deleted", at=iso(clock()), actor=who.actor, subject=f"segment {segment_id}")
        return present


def filters_of(connection: Connection, user_id: int | None, segment_id: int) -> list[tuple[str, str]]:
    """Return the filters of a segment that a person sees, as (name, value), or of any if no person asks.

    Raises
    ------
    InvalidInput
        There is no such segment.
    """
    found = segments.one(connection, user_id, segment_id)
    if found is None:
        raise invalid("segment", f"there is no segment {segment_id}, or it is not shared")
    pairs = parse_qsl(found.query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if name not in KEPT]


def is_readable(schema: Schema | None, query: str, unsure_below: float) -> bool:
    """Return whether a query can still be read: the schema may have changed since it was saved."""
    if schema is None:
        return False
    try:
        _read(schema, query, unsure_below)
    except InvalidInput:
        return False
    return True


def _require_readable(connection: Connection, query: str, unsure_below: float) -> None:
    present = customer_base.get(connection)
    if present is None:
        raise NoCustomers(NO_BASE)
    _read(present.schema, query, unsure_below)


def _read(schema: Schema, query: str, unsure_below: float) -> None:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        raise invalid("query", "expected name=value pairs joined by &, as in the address of a list") from None
    parse(schema, pairs, unsure_below=unsure_below, allowed=KEPT)
    parse_shown(schema, [value for name, value in pairs if name == "show"])
    for name, value in pairs:
        if name == "sort":
            parse_sort(schema, value)


def _changeable(connection: Connection, who: Person, segment_id: int) -> AnyRow:
    present = _seen(connection, who, segment_id)
    if present.owner_id != who.user_id and not who.is_admin:
        raise Forbidden(NOT_YOURS)
    return present


def _seen(connection: Connection, who: Person, segment_id: int) -> AnyRow:
    found = segments.one(connection, who.user_id, segment_id)
    if found is None:
        raise NotFound("Segment not found")
    return found

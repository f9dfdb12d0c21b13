"""Changes of the worklist: status, owner, note and due date of one customer, or of many.

Law: fields that are not given stay; an owner is somebody who can sign in; many are changed all or none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from database.accounts import users
from database.customers import customers, worklist
from database.engine import files
from database.engine.session import Connection, Database
from shared.clock import Clock, iso
from shared.errors import Detail, InvalidInput, NotFound, invalid

FIRST = {"status": "to_do", "owner_id": None, "note": None, "due_on": None}
#: Customers whose entries one request changes at most, in one transaction.
MOST = 1_000
UNKNOWN = "there is no customer with this user_id"


def change(database: Database, customer: str, given: Mapping[str, Any], *, user_id: int, clock: Clock) -> int:
    """Change what the worklist says of a customer, who begins with `FIRST`, and return the customer's key.

    Parameters
    ----------
    given
        Some of `worklist.VALUES`; None takes a value away.

    Raises
    ------
    NotFound
        There is no such customer.
    InvalidInput
        The owner can't sign in.
    DiskFull
        The disk is nearly full.
    """
    files.require_reserve(database.path)
    with database.write() as connection:
        key = key_of(connection, customer)
        _change(connection, [key], given, user_id=user_id, now=iso(clock()))
    return key


def change_many(
    database: Database, wanted: Sequence[str], given: Mapping[str, Any], *, user_id: int, clock: Clock
) -> tuple[int, int]:
    """Change what the worklist says of customers, by user_id, as `change` does: of all of them, or of none.

    Returns
    -------
    how many were changed, and how many had these values already.

    Raises
    ------
    InvalidInput
        A customer is unknown, who is named; the owner can't sign in; or no value is given, which would put everybody
        on the worklist unasked.
    DiskFull
        The disk is nearly full.
    """
    if not given:
        raise invalid("status", f"expected at least one of {', '.join(worklist.VALUES)}")
    files.require_reserve(database.path)
    with database.write() as connection:
        keys = customers.ids_by_user_id(connection, set(wanted))
        details: list[Detail] = [
            {"field": f"customers.{row}", "value": each, "message": UNKNOWN}
            for row, each in enumerate(wanted)
            if each not in keys
        ]
        if details:
            raise InvalidInput.of(details)
        changed = _change(connection, keys.values(), given, user_id=user_id, now=iso(clock()))
    return changed, len(keys) - changed


def _change(connection: Connection, keys: Collection[int], given: Mapping[str, Any], *, user_id: int, now: str) -> int:
    """Write the entries that differ from what they were, and return their number."""
    owner = given.get("owner_id")
    if owner is not None:
        found = users.by_id(connection, owner)
        if found is None or found.is_disabled:
            raise invalid("owner_id", "expected the number of somebody who can sign in")
    present = worklist.of(connection, keys)
    rows = {key: {**present.get(key, FIRST), **given} for key in keys}
    differing = {key: row for key, row in rows.items() if row != present.get(key)}
    worklist.put(connection, differing, user_id=user_id, now=now)
    return len(differing)


def key_of(connection: Connection, customer: str) -> int:
    """Return a customer's key by user_id. Raises NotFound."""
    key = customers.ids_by_user_id(connection, [customer]).get(customer)
    if key is None:
        raise NotFound("Customer not found")
    return key

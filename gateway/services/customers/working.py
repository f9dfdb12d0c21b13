"""Changes of the worklist: status, owner, note and due date of a customer.

Law: fields that are not given stay; an owner is somebody who can sign in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from database.accounts import users
from database.customers import customers, worklist
from database.engine.session import Connection, Database
from shared.clock import Clock, iso
from shared.errors import NotFound, invalid

FIRST = {"status": "to_do", "owner_id": None, "note": None, "due_on": None}


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
    """
    with database.write() as connection:
        key = key_of(connection, customer)
        owner = given.get("owner_id")
        if owner is not None:
            found = users.by_id(connection, owner)
            if found is None or found.is_disabled:
                raise invalid("owner_id", "expected the number of somebody who can sign in")
        present = worklist.one(connection, key)
        before = {name: getattr(present, name) for name in worklist.VALUES} if present else FIRST
        if present is None or {**before, **given} != before:
            worklist.put(connection, key, {**before, **given}, user_id=user_id, now=iso(clock()))
    return key


def key_of(connection: Connection, customer: str) -> int:
    """Return a customer's key by user_id. Raises NotFound."""
    key = customers.ids_by_user_id(connection, [customer]).get(customer)
    if key is None:
        raise NotFound("Customer not found")
    return key

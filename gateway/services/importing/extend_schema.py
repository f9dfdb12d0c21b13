"""Adds features to the customer base, for the route and the command.

Law: columns are added only while no import is running; the audit log records who added which features.
"""

from __future__ import annotations

from database.accounts import audit
from database.accounts.audit import Actor
from database.customers import customer_base
from database.customers.customer_base import Extension
from database.engine.session import Database
from gateway.services import vouching
from gateway.services.jobs import locks
from gateway.settings import Settings
from shared.clock import Clock, iso
from shared.schema.features import Schema

IMPORT_RUNS = "An import is being written: extend the schema once it has ended. Nothing was changed."


def extend_schema(database: Database, settings: Settings, wanted: Schema, *, clock: Clock, actor: Actor) -> Extension:
    """Add the features that the wanted schema has beyond the present one; earlier facts lack them.

    Returns
    -------
    names of the new features (none if the base has all of them, in which case nothing is recorded), and the other keys
    in which the wanted schema differs; those stay as they are.

    Raises
    ------
    Conflict
        An import is running.
    NoCustomers
        There is no base.
    SchemaMismatch
        The schema changes the meaning of a column, or a new feature may not be missing.
    """
    with locks.held_or_refused(settings, locks.IMPORTS, IMPORT_RUNS), database.write() as connection:
        found = customer_base.extend(connection, wanted, clock)
        if found.added:
            subject = f"features: {', '.join(found.added)}"
            audit.record(connection, "schema.extended", at=iso(clock()), actor=actor, subject=subject)
            vouched = [name for name in wanted.vouched if name in found.added]
            vouching.record_schema(connection, vouched, at=iso(clock()), actor=actor)
    return found

"""Changes labels, units, actions and what a training reads in the schema of the customer base.

Law: nothing that facts were read by changes; the audit log records who changed which key from what to what.
"""

from __future__ import annotations

from collections.abc import Iterable

from database.accounts import audit
from database.accounts.audit import Actor
from database.customers import customer_base
from database.engine.session import Database
from gateway.services.jobs import locks
from gateway.settings import Settings
from shared.clock import Clock, iso
from shared.schema.changes import Change
from shared.schema.features import Schema

IMPORT_RUNS = "An import is being written: edit the schema once it has ended. Nothing was changed."
#: Changes that the audit log names one by one.
AUDITED = 50


def edit_schema(
    database: Database, settings: Settings, wanted: Schema, *, clock: Clock, actor: Actor
) -> tuple[Change, ...]:
    """Change the base's schema to what the wanted one says.

    Returns
    -------
    every change; none if the schemas are the same, in which case nothing is recorded.

    Raises
    ------
    Conflict
        An import is running.
    NoCustomers
        There is no base.
    InvalidSchema
        The wanted schema changes something that facts depend on; with one detail for each.
    """
    with locks.held_or_refused(settings, locks.IMPORTS, IMPORT_RUNS), database.write() as connection:
        changed = customer_base.edit(connection, wanted)
        if changed:
            audit.record(connection, "schema.edited", at=iso(clock()), actor=actor, subject=_told(changed))
    return changed


def _told(changed: tuple[Change, ...]) -> str:
    further = [f"and {len(changed) - AUDITED} further changes"] if len(changed) > AUDITED else []
    return "; ".join([*(str(each) for each in changed[:AUDITED]), *further])


def training_needed(changed: Iterable[Change]) -> list[str]:
    """Return the changed keys that take effect with the next training only."""
    return [each.field for each in changed if each.needs_training]

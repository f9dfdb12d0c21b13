"""Records up to which day an import makes ends known, and says so.

Law: every import says what it moves, or that it moves nothing (docs/definitions.md#complete-to).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from database.customers import facts, maturity
from database.engine.session import Database
from shared.clock import days_later
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS

HOW = (
    "a full snapshot with --full-snapshot --absent-are-gone, a file with ends that has 99 % of those who were active "
    "before, or --ends-complete-to DAY"
)
UNKNOWN = "It is not known up to which day all ends are told, so no row has matured: {how} says it."
STAYS = "All ends are known up to {before}, as before this import: {how} moves that day."
MOVED = "All ends are known up to {after} now ({before} before): rows dated up to {last} have matured."
WITHDRAWN = "All ends are known only up to {after} now ({before} before): customers without an end lack newer facts."
NO_DAY = "not known"


@dataclass(frozen=True)
class Known:
    """The day up to which ends were known before an import, and the day that files with ends account for with it."""

    before: str | None
    covered: str | None


def measure(database: Database, import_id: int | None = None) -> Known:
    """Read up to which day ends are known, before an import (not published yet) is recorded."""
    with database.read() as connection:
        return Known(maturity.complete_to(connection), maturity.newest_covered(connection, import_id))


def record(
    connection: Connection, known: Known, *, full: str | None = None, told: str | None = None, now: str
) -> dict[str, Any]:
    """Record what an import makes known; return `complete_to` and `notes` of its result.

    Parameters
    ----------
    full
        The date of a full snapshot whose absent customers left.
    told
        The day up to which the importer says that all ends are known.
    """
    maturity.set_covered(connection, known.covered, now)
    if full is not None:
        maturity.tell(connection, full, "full", now)
    if told is not None:
        maturity.tell(connection, told, "told", now)
    after = maturity.complete_to(connection)
    return {"complete_to": after, "notes": _notes(connection, known.before, after)}


def _notes(connection: Connection, before: str | None, after: str | None) -> list[str]:
    if not facts.has_subscriptions(connection):
        return []
    if after is None:
        return [UNKNOWN.format(how=HOW)]
    if after == before:
        return [STAYS.format(before=before, how=HOW)]
    last = days_later(after, -(HORIZON_DAYS + GRACE_DAYS))
    told = MOVED if before is None or after > before else WITHDRAWN
    return [told.format(after=after, before=before or NO_DAY, last=last)]

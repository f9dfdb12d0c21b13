"""Writes outcomes: staged rows end the lifetimes of known customers.

Law: applying outcomes twice gives the same result as applying them once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from database.customers import facts
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Database
from database.importing import apply_outcomes, known_ends
from database.importing.apply_outcomes import OutcomeStatements
from database.importing.chunks import change_by_rows
from database.importing.import_writer import hide_gone, open_lifetimes
from database.importing.staging import StagedReject, Staging, role_column
from shared.tables import messages

#: Rows in the first transaction; a smaller file is applied in one.
ROWS = 2_000


def unusable(database: Database, staging: Staging) -> list[StagedReject]:
    """Return rows without an end, with an unknown customer, or with an unknown lifetime."""
    with staging.open() as rows:
        missing = rows.lacking(role_column("end"))
    staging.resolve(database, several=False)
    with staging.open() as rows:
        unknown = rows.new_customers()
    rejects: list[StagedReject] = [(n, "ended_at", None, messages.END_MISSING) for n in missing]
    rejects += [(n, "user_id", who[: messages.MAX_QUOTED], messages.unknown_customer(who)) for n, who in unknown]
    with database.read() as connection:
        known = facts.has_subscriptions(connection)
    if known:
        with staging.attached(database) as attached, attached.read() as connection:
            rejects += apply_outcomes.without_lifetime(connection, staging)
    return rejects


def apply(
    database: Database, staging: Staging, *, complete_to: str | None, now: str, report: Callable[[int], None]
) -> dict[str, Any]:
    """End the lifetimes of the rows; return the customers who left and will leave, `complete_to` and `notes`.

    Parameters
    ----------
    complete_to
        The day up to which the importer says that all ends are known.
    report
        Called with the number of customers who left so far.
    """
    open_lifetimes(database, now)
    left, ahead, pace = 0, 0, AdaptiveBatchSize(ROWS)
    statements = OutcomeStatements(staging, now)
    with closing(change_by_rows(database, staging, pace, statements.apply)) as chunks:
        for _, (gone, going) in chunks:
            left, ahead = left + gone, ahead + going
            report(left)
    hide_gone(database, pace)
    known = known_ends.measure(database)
    with database.write() as connection:
        ends = known_ends.record(connection, known, told=complete_to, now=now)
    return {"ended": left, "announced": ahead, **ends}

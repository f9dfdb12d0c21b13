"""Outcomes: each prediction in the ledger gets its outcome once its date has matured, and a further one if it changes.

Law: an outcome is appended when its date has matured, never before, and is never changed: what comes in late is a
further row, and the newest counts. A prediction without one is unknown, not 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from database.customers import facts, maturity
from database.engine import interruption
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Connection
from database.monitoring import outcome_bins
from database.scoring import runs
from gateway.services.jobs.work import Work
from shared.clock import iso

#: Rows of the first transaction of a run.
CHUNK = 5_000


def settle(work: Work) -> int:
    """Append the outcomes of all matured runs, and those that differ from before; return their number."""
    with work.database.read() as connection:
        known = maturity.complete_to(connection)
        if known is None or not facts.has_subscriptions(connection):
            return 0
        dates = set(maturity.matured_dates(connection, known))
        due = [run for run in runs.dates_scored(connection) if run.as_of in dates]
    written = 0
    for run in due:
        with work.database.read() as connection:
            found = [*_first(connection, run.id, run.as_of), *_corrected(connection, run.id, run.as_of)]
        _append(work, run.id, found)
        written += len(found)
    return written


def _first(connection: Connection, run_id: int, as_of: str) -> list[tuple[int, int]]:
    """Return the outcomes of predictions that have none yet."""
    if not runs.some_without_outcome(connection, run_id):
        return []
    labels = facts.outcomes_at(connection, as_of)
    return [(key, labels[key]) for key in runs.without_outcome(connection, run_id) if key in labels]


def _corrected(connection: Connection, run_id: int, as_of: str) -> list[tuple[int, int]]:
    """Return the labels that differ from the newest outcome: only who left, or was said to, can have one."""
    concerned = facts.ended_within_horizon(as_of).union(runs.leavers_told(run_id))
    told = runs.outcomes(connection, run_id, concerned)
    labels = facts.outcomes_at(connection, as_of, concerned) if told else {}
    return [(key, labels[key]) for key in sorted(labels) if key in told and labels[key] != told[key]]


def _append(work: Work, run_id: int, found: Sequence[tuple[int, int]]) -> None:
    at, pace = 0, AdaptiveBatchSize(CHUNK)
    while at < len(found):
        interruption.check()
        part = found[at : at + pace.size]
        at += len(part)
        with pace.timed(work.database.write()) as connection:
            runs.add_outcomes(connection, run_id, part, iso(work.clock()))
            outcome_bins.forget(connection, run_id)

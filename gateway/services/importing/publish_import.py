"""Finishes writing an accepted import, publishes it, and renews the figures that follow from the facts.

Law: an accepted import is finished by this process, by the next attempt of its job, or by the next import. Its job's
result is stored in the transaction that publishes it; the files needed to continue stay until the figures are renewed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from database.customers import churn_history, customer_base
from database.engine.interruption import interruptible
from database.importing import imports
from database.importing.import_writer import open_import, settle
from database.importing.imports import Pending
from database.scoring.run_writer import refresh_roll_up
from database.segments import cohorts, group_churn, movement
from gateway.services.importing import uploads
from gateway.services.jobs import locks
from gateway.services.jobs.work import Work
from gateway.services.monitoring import measuring
from gateway.services.scoring import outcomes
from shared.errors import DiskFull
from shared.plural import plural

log = structlog.get_logger()

DISK_FULL = (
    "The disk is full. The import was accepted and is kept: free some space, and the next attempt or the next import "
    "finishes it. Until then none of it counts."
)


def finish_earlier(work: Work) -> None:
    """Finish any user's accepted import that was interrupted: write it, and renew the figures.

    If this job is cancelled meanwhile, that import is left as it is, accepted, and finished later.
    """
    with work.database.read() as connection:
        pending, unsettled = imports.pending(connection), imports.unsettled(connection)
    if pending is not None:
        publish_import(work, pending)
    elif unsettled:
        with locks.facts_alone(work):
            _renew(work, *unsettled)


def publish_import(work: Work, pending: Pending) -> Mapping[str, Any]:
    """Write the rest of an accepted import, publish it, and renew the figures, while no other job reads the facts.

    Raises
    ------
    Conflict
        Its staged rows are lost; the import has failed.
    DiskFull
        The import stays accepted, and is finished later.
    """
    is_own = pending.job_id == work.job.id
    with locks.facts_alone(work), interruptible(None if is_own else work.stops.is_set):
        result = _write(work, pending, work.note if is_own else work.step)
        _renew(work, pending)
        return result


def _write(work: Work, pending: Pending, tell: Callable[[float, str], None]) -> Mapping[str, Any]:
    def report(done: int, total: int) -> None:
        tell(0.4 + 0.5 * done / total, f"Wrote {done:,} of {plural(total, 'row')}")

    with open_import(work.database, pending) as writer:
        try:
            writer.apply(report)
            result = writer.publish()
        except DiskFull:
            raise DiskFull(DISK_FULL) from None
    log.info("import_published", import_id=pending.id, rows=result["rows"], longest_write_ms=result["longest_write_ms"])
    return result


def _renew(work: Work, *published: Pending) -> None:
    refresh_figures(work)
    for each in published:
        settle(work.database, each)
        uploads.discard(each.plan["file"])


def mature(work: Work) -> Mapping[str, int]:
    """Settle the outcomes that are due and renew the figures that follow, as a job; return the number of outcomes."""
    with locks.unchanged_facts(work):
        return {"outcomes": refresh_figures(work)}


def refresh_figures(work: Work) -> int:
    """Recompute the figures that follow from the facts: churn, cohorts, outcomes, live performance, the roll-up.

    Returns
    -------
    number of outcomes that were settled.
    """
    today = work.clock().date().isoformat()
    with work.database.read() as connection:
        periods = churn_history.measure(connection)
        present = customer_base.get(connection)
        groups = group_churn.measure(connection, present.schema) if present else []
        months = cohorts.measure(connection, today)
        moved = movement.measure(connection, today)
    with work.database.write() as connection:
        churn_history.store(connection, periods)
        group_churn.store(connection, groups)
        cohorts.store(connection, months)
        movement.store(connection, moved)
    settled = outcomes.settle(work)
    measuring.measure(work)
    refresh_roll_up(work.database)
    return settled

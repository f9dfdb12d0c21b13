"""An accepted import is written to its end, in transactions short enough for requests beside them.

Law: who is accepted is finished: by this process, by the next attempt of its job, or by the next import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from database.customers import churn_history, customer_base, facts
from database.engine.batch_sizing import Pace
from database.engine.session import transaction
from database.importing import apply_import, imports
from database.importing.apply_import import Plan, Writer
from database.importing.imports import Pending
from database.importing.staging import Staging
from database.scoring import runs
from database.scoring.run_writer import refresh_roll_up
from gateway.services.importing import uploads
from gateway.services.jobs import locks
from gateway.services.jobs.work import Work
from gateway.services.scoring import outcomes
from shared.errors import Conflict, DiskFull
from shared.schema.features import schema_from_dict

log = structlog.get_logger()

DISK_FULL = (
    "The disk is full. The import was accepted and is kept: free some space, and it is finished by the next attempt "
    "or the next import. Until then nothing of it counts."
)
LOST = "The rows of an import that was broken off are gone ({file}); it was given up: import that file again."


def finish_pending(work: Work) -> Mapping[str, Any] | None:
    """Finish the import that was broken off, if there is one; its result."""
    with work.database.read() as connection:
        found = imports.pending(connection)
    return finish(work, found) if found is not None else None


def finish(work: Work, found: Pending) -> Mapping[str, Any]:
    """Write what is left of an accepted import, make it count, and bring the figures up to date.

    Raises
    ------
    Conflict
        The scratch file is gone; the import was given up.
    DiskFull
        The import waits.
    """
    plan = Plan(**found.plan)
    staging = Staging(Path(plan.staging), schema_from_dict(plan.given), plan.roles)
    if not staging.path.exists():
        with work.database.write() as connection:
            imports.fail(connection, found.id)
        raise Conflict(LOST.format(file=plan.result.get("file_name", "a file")))
    pace = Pace()
    try:
        _write_rows(work, plan, staging, found, pace)
        gone = _after_rows(work, plan, pace)
        with work.database.write() as connection:
            imports.publish(connection, found.id)
            customer_base.mark_ready(connection)
    except DiskFull:
        raise DiskFull(DISK_FULL) from None
    staging.discard()
    uploads.discard(plan.file)
    log.info("import_published", import_id=found.id, rows=plan.result["rows"], longest_write_s=round(pace.longest_s, 3))
    bring_up_to_date(work)
    return {**plan.result, "declared_gone": gone, "longest_write_ms": round(pace.longest_s * 1000)}


def _write_rows(work: Work, plan: Plan, staging: Staging, found: Pending, pace: Pace) -> None:
    writer = Writer(plan, staging, schema_from_dict(plan.present), found.id)
    done, total = 0, max(plan.result["rows"], 1)
    at = found.written
    with staging.attached(work.database) as connection:
        while (until := apply_import.next_row(connection, at, size := pace.size, one_date=plan.several)) is not None:
            with pace.timed(transaction(connection, "BEGIN IMMEDIATE")):
                writer.chunk(connection, at, until)
            done, at = done + size, until
            work.note(0.4 + 0.5 * min(done / total, 1.0), f"Wrote {min(done, total):,} of {total:,} rows")


def _after_rows(work: Work, plan: Plan, pace: Pace) -> int:
    gone = 0
    if plan.absent_on is not None:
        day = plan.absent_on
        open_lifetimes(work, plan.now, also=day)
        for count in by_customers(work, pace, lambda c, a, b: apply_import.declare_gone(c, day, plan.now, a, b)):
            gone += count
    with work.database.read() as connection:
        shown = runs.published(connection)
    if shown is not None:
        for _ in by_customers(work, pace, lambda c, a, b: apply_import.hide_gone(c, shown.run_id, a, b)):
            pass
    return gone


def open_lifetimes(work: Work, now: str, *, also: str | None = None) -> None:
    """In a base without lifetimes, give every active customer one, from the first day there are facts of them.

    `also` is a date whose facts are written and do not count yet.
    """
    with work.database.read() as connection:
        known = facts.has_subscriptions(connection)
        days = facts.snapshot_dates(connection)
    if known:
        return
    pace = Pace()
    for day in sorted({*days, *((also,) if also else ())}):
        for _ in by_customers(work, pace, lambda c, a, b, d=day: apply_import.open_lifetimes(c, d, now, a, b)):  # type: ignore[misc]
            pass


def by_customers(work: Work, pace: Pace, change: Callable[[Any, int, int], Any]) -> Iterator[Any]:
    """Apply a change to all customers by ranges of their keys, each in a short transaction."""
    with work.database.read() as connection:
        last = apply_import.last_customer(connection)
    keys, at = Pace(20_000, 500, 200_000), 0
    while at < last:
        until = at + keys.size
        with keys.timed(work.database.write()) as connection:
            changed = change(connection, at, until)
        yield changed
        at = until
    pace.longest_s = max(pace.longest_s, keys.longest_s)


def bring_up_to_date(work: Work) -> None:
    """Recompute what follows from the facts: churn by period, outcomes, the roll-up of present scores."""
    with work.database.read() as connection:
        periods = churn_history.measure(connection)
    with work.database.write() as connection:
        churn_history.store(connection, periods)
    outcomes.settle(work)
    refresh_roll_up(work.database)


def write_alone(work: Work, act: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Do something to the facts while no scoring run and no training reads them."""
    with locks.alone(work, locks.FACTS, "Waiting for a scoring run or training to end"):
        return act()

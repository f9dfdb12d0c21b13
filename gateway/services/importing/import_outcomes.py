"""Importing who left when, and why: a file of outcomes ends the lifetimes of customers that are known.

Law: checked whole before anything is written; applying it twice changes nothing more than applying it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from database.customers import customer_base, facts
from database.engine.session import transaction
from database.importing import apply_import, apply_outcomes
from database.importing.staging import Staging
from database.scoring import runs
from gateway.services.importing import uploads
from gateway.services.importing.finishing import (
    bring_up_to_date,
    by_customers,
    finish_pending,
    open_lifetimes,
    write_alone,
)
from gateway.services.importing.rejects import write_rejects
from gateway.services.importing.staged import Staged, refusal, stage
from gateway.services.jobs import locks
from gateway.services.jobs.batch_sizing import Pace
from gateway.services.jobs.work import Work
from shared.clock import iso
from shared.errors import InvalidTable, NoCustomers
from shared.schema.features import Schema, Subscription
from shared.tables.open import OpenTable, open_table

ID, START, END, REASON = "user_id", "started_at", "ended_at", "end_reason"
#: Rows in the first transaction; a file of fewer is applied at once.
ROWS = 2_000


def run(work: Work) -> Mapping[str, Any]:
    """The job: params {path, file_name, dry_run?, keep_good?}."""
    path = work.job.params["path"]
    with locks.alone(work, locks.IMPORTS, "Waiting for another import to end"):
        write_alone(work, lambda: finish_pending(work) or {})
        table = open_table(path, folder=uploads.folder(work.settings.data_folder))
        scratch = uploads.folder(work.settings.data_folder) / f"staged-{work.job.id}-{work.job.attempt}.db"
        try:
            result = _import(work, table, Staging(scratch, _schema(table), ()))
        finally:
            table.close()
            scratch.unlink(missing_ok=True)
        uploads.discard(path)
        return result


def _schema(table: OpenTable) -> Schema:
    names = {name.strip() for name in table.names}
    missing = [name for name in (ID, END) if name not in names]
    if missing:
        raise InvalidTable(
            f"The file has no column {missing[0]!r}: outcomes need {ID} and {END}; {REASON} and {START} may be there.",
            details=[{"field": name, "message": "there is no such column"} for name in missing],
        )
    roles = Subscription(
        end=END, start=START if START in names else None, end_reason=REASON if REASON in names else None
    )
    # Not checked as a customer base's schema would be: outcomes have no features.
    return Schema.model_construct(
        name=None, id=ID, email=None, label=None, positive=(), ignore=(), as_of=None, subscription=roles, features={}
    )


def _import(work: Work, table: OpenTable, staging: Staging) -> Mapping[str, Any]:
    params, today = work.job.params, work.clock().date()
    with work.database.read() as connection:
        if customer_base.get(connection) is None:
            raise NoCustomers("There are no customers yet whose outcomes these could be: import a table first.")
    staged = stage(table, staging.schema, staging.path, as_of=today.isoformat(), today=today)
    rejects = _unusable(work, staged.staging)
    with staged.staging.open() as raw:
        staged = staged.with_late(table, raw, rejects)
    if staged.rejected:
        out = uploads.rejects_path(work.settings.data_folder, work.job.id)
        write_rejects(table, staged, out)
        if not (params.get("keep_good") or params.get("dry_run")):
            raise refusal(table, staged, uploads.rejects_place(work.settings, work.job.id))
    done = (0, 0)
    if not params.get("dry_run") and staged.accepted:
        done = write_alone(work, lambda: {"done": _apply(work, staged)})["done"]
    return {
        "file_name": params["file_name"],
        "total": staged.total,
        "accepted": staged.accepted,
        "rejected": staged.rejected,
        "rejects": staged.rejects,
        "rejects_file": f"/api/customers/import/{work.job.id}/rejects" if staged.rejected else None,
        "ended": done[0],
        "announced": done[1],
        "dry_run": bool(params.get("dry_run")),
        "notes": staged.notes,
    }


def _unusable(work: Work, staging: Staging) -> apply_outcomes.Rejects:
    with staging.open() as raw:
        rejects = apply_outcomes.without_end(raw)
    staging.resolve(work.database, several=False)
    with staging.open() as raw:
        rejects += apply_outcomes.strangers(raw)
    with work.database.read() as connection:
        known = facts.has_subscriptions(connection)
    if known:
        with staging.attached(work.database) as connection, transaction(connection, "BEGIN"):
            rejects += apply_outcomes.without_lifetime(connection, "start" in staging.roles)
    return rejects


def _apply(work: Work, staged: Staged) -> tuple[int, int]:
    now = iso(work.clock())
    open_lifetimes(work, now)
    left = ahead = at = 0
    pace = Pace(ROWS)
    with staged.staging.attached(work.database) as connection:
        while (until := apply_import.next_row(connection, at, pace.size)) is not None:
            with pace.timed(transaction(connection, "BEGIN IMMEDIATE")):
                gone, going = apply_outcomes.end_lifetimes(
                    connection, roles=staged.staging.roles, today=now[:10], now=now, after=at, until=until
                )
            left, ahead, at = left + gone, ahead + going, until
            work.note(0.8, f"Ended {left:,} subscriptions")
    with work.database.read() as connection:
        shown = runs.published(connection)
    if shown is not None:
        for _ in by_customers(work, pace, lambda c, a, b: apply_import.hide_gone(c, shown.run_id, a, b)):
            pass
    bring_up_to_date(work)
    return left, ahead

"""Imports outcomes: a file of end dates and reasons ends the lifetimes of known customers.

Law: the whole file is checked before anything is written; applying it twice has the same effect as applying it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

from database.customers import customer_base, maturity
from database.engine.interruption import interruptible
from database.importing import outcomes_writer
from database.importing.staging import Staging, open_staging
from database.jobs import jobs
from gateway.services.importing import uploads
from gateway.services.importing.check_file import check_file, refusal, refuse_future
from gateway.services.importing.publish_import import finish_earlier, refresh_figures
from gateway.services.importing.rejected_rows_file import write_rejects
from gateway.services.jobs import locks
from gateway.services.jobs.params import OutcomesParams
from gateway.services.jobs.work import Work
from shared.clock import iso
from shared.errors import InvalidTable, NoCustomers
from shared.plural import plural
from shared.schema.features import Schema
from shared.schema.subscription import Subscription
from shared.tables import messages
from shared.tables.open import OpenTable, open_table

ID, START, END, REASON = "user_id", "started_at", "ended_at", "end_reason"


def run(work: Work, params: OutcomesParams) -> Mapping[str, Any]:
    """End the lifetimes that the file names."""
    spool = uploads.folder(work.settings.data_folder)
    work.afterwards(partial(uploads.discard, params.path))
    with locks.alone(work, locks.IMPORTS, "Waiting for another import to end"):
        finish_earlier(work)
        with (
            closing(open_table(uploads.present(params), folder=spool, between=work.check)) as table,
            open_staging(uploads.staging_path(spool, work.job), _schema(table)) as staging,
        ):
            return _import(work, params, table, staging)


def _schema(table: OpenTable) -> Schema:
    names = {name.strip() for name in table.names}
    missing = [name for name in (ID, END) if name not in names]
    if missing:
        raise InvalidTable(
            messages.missing_outcome_column(missing[0], (ID, END), (REASON, START)),
            details=[{"field": name, "message": messages.NO_SUCH_COLUMN} for name in missing],
        )
    roles = Subscription(
        end=END, start=START if START in names else None, end_reason=REASON if REASON in names else None
    )
    # Not checked as a customer base's schema would be: outcomes have no features.
    return Schema.model_construct(
        name=None, id=ID, email=None, label=None, positive=(), ignore=(), as_of=None, subscription=roles, features={}
    )


def _import(work: Work, params: OutcomesParams, table: OpenTable, staging: Staging) -> Mapping[str, Any]:
    today = work.clock().date()
    refuse_future("ends_complete_to", params.ends_complete_to, today)
    with work.database.read() as connection:
        if customer_base.get(connection) is None:
            raise NoCustomers("There are no customers yet for these outcomes: import a table first.")
        complete_to = maturity.complete_to(connection)
    checked = check_file(
        table, staging, as_of=today.isoformat(), today=today,
        report=lambda rows: work.step(0.3, f"Checked {plural(rows, 'row')}"),
    )  # fmt: skip
    checked = checked.with_late(table, outcomes_writer.unusable(work.database, staging))
    if checked.rejected:
        write_rejects(table, checked, uploads.rejects_path(work.settings.data_folder, work.job.id))
        if not (params.keep_good or params.dry_run):
            raise refusal(table, checked, uploads.rejects_place(work.settings, work.job.id))
    done: dict[str, Any] = {"ended": 0, "announced": 0, "notes": []}
    if checked.accepted and not params.dry_run:
        done = _apply(work, staging, params)
    return {
        "file_name": params.file_name,
        "total": checked.total,
        "accepted": checked.accepted,
        "rejected": checked.rejected,
        "rejects": checked.rejects,
        "rejects_file": f"/api/customers/import/{work.job.id}/rejects" if checked.rejected else None,
        "complete_to": complete_to,
        "dry_run": params.dry_run,
        **done,
        "notes": [*checked.notes, *done["notes"]],
    }


def _apply(work: Work, staging: Staging, params: OutcomesParams) -> dict[str, Any]:
    def report(left: int) -> None:
        work.note(0.8, f"Ended {plural(left, 'subscription')}")

    with locks.facts_alone(work), interruptible(None):
        with work.database.write() as connection:
            jobs.bind(connection, work.job)
        told = params.ends_complete_to
        done = outcomes_writer.apply(
            work.database, staging, complete_to=told.isoformat() if told else None, now=iso(work.clock()), report=report
        )
        refresh_figures(work)
    return done

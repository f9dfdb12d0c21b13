"""Importing a customer table: checked and staged whole, then published whole or not at all.

Law: facts are appended with their date; the present state of a customer is that of its newest facts; nothing is
written to the database before every row has been checked (docs/decisions/0008).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

from database.customers import customer_base, facts, maturity
from database.customers.customer_base import Base
from database.engine.interruption import interruptible
from database.engine.session import Connection
from database.importing import apply_import, imports, joined_ends, known_ends
from database.importing.import_plan import Plan
from database.importing.imports import Pending
from database.importing.staging import Staging, open_staging
from database.jobs import jobs
from gateway.services import vouching
from gateway.services.importing import uploads
from gateway.services.importing.check_file import CheckedFile, check_file, refusal, refuse_future
from gateway.services.importing.publish_import import finish_earlier, publish_import, refresh_figures
from gateway.services.importing.rejected_rows_file import write_rejects
from gateway.services.jobs import locks
from gateway.services.jobs.params import ImportParams
from gateway.services.jobs.work import Work, read
from shared.clock import iso
from shared.errors import Conflict, InvalidTable, SchemaMismatch, invalid
from shared.plural import plural
from shared.schema.changes import difference_notes
from shared.schema.features import Schema, schema_from_dict
from shared.tables import messages
from shared.tables.open import OpenTable, open_table

OTHER_BASE = (
    "This database holds the customer base {name!r}, whose columns have another meaning. "
    "One database holds one customer base: start a new one with "
    "`DATABASE_PATH=./database/another.db retainstream import FILE --schema SCHEMA`{demo}."
)
DEMO_HINT = ", or remove the demo first with `retainstream demo --remove`"


def run(work: Work, params: ImportParams) -> Mapping[str, Any]:
    """Import a customer table, after finishing an interrupted import."""
    began = time.monotonic()
    work.afterwards(partial(uploads.discard, params.path))
    with locks.alone(work, locks.IMPORTS, "Waiting for another import to end"):
        finish_earlier(work)
        # Stored by an earlier attempt, or by another import's job that finished this import.
        noted = read(work.database, work.job.id).result
        result = _import(work, params) if noted is None else noted
    return {**result, "seconds": round(time.monotonic() - began, 2)}


def _import(work: Work, params: ImportParams) -> Mapping[str, Any]:
    """Check the file; unless this is a dry run, accept and publish it."""
    schema = schema_from_dict(params.schema)
    today = work.clock().date()
    as_of = (params.as_of or today).isoformat()
    refuse_future("as_of", params.as_of, today)
    refuse_future("ends_complete_to", params.ends_complete_to, today)
    work.step(0.0, "Opening the file")
    with work.database.read() as connection:
        present = customer_base.get(connection)
        notes = _schema_notes(connection, present, schema)
    spool = uploads.folder(work.settings.data_folder)
    with (
        closing(open_table(uploads.present(params), folder=spool, between=work.check)) as table,
        open_staging(uploads.staging_path(spool, work.job), schema) as staging,
    ):
        checked = _check(work, table, staging, as_of)
        checked.notes.extend(notes)
        _refuse_rejects(work, table, checked, params)
        result = _result(work, checked, present, params)
        if params.dry_run:
            return result
        staging.require_room(work.database)
        # A file whose ends were taken for announced ones before is imported again.
        if not params.ends_are_of_today and _is_imported(work, table, checked, params):
            return {**result, **_again(work, params, result), "unchanged": True}
        accepted = _accept(work, table, checked, present, params, result)
    return publish_import(work, accepted)


def _check(work: Work, table: OpenTable, staging: Staging, as_of: str) -> CheckedFile:
    guess = max(table.size / 60, 1)  # rows, at a typical line length: good enough for a progress bar

    def report(rows: int) -> None:
        work.step(min(rows / guess * 0.35, 0.35), f"Checked {plural(rows, 'row')}")

    return check_file(table, staging, as_of=as_of, today=work.clock().date(), report=report)


def _schema_notes(connection: Connection, present: Base | None, schema: Schema) -> list[str]:
    """Return notes on the schema. Raises SchemaMismatch if the base can't accept a file with it."""
    if present is None:
        return []
    differing = difference_notes(present.schema, schema)
    if present.checksum == schema.checksum():
        return differing
    if customer_base.schema_of(connection, schema.checksum()) is None:
        raise SchemaMismatch(OTHER_BASE.format(name=present.name, demo=DEMO_HINT if present.is_demo else ""))
    later = [name for name in present.schema.features if name not in schema.features]
    return [f"The base has more features than this schema: {', '.join(later)} are missing in these facts.", *differing]


def _refuse_rejects(work: Work, table: OpenTable, checked: CheckedFile, params: ImportParams) -> None:
    if not checked.rejected:
        return
    write_rejects(table, checked, uploads.rejects_path(work.settings.data_folder, work.job.id))
    if params.absent_are_gone or not (params.keep_good or params.dry_run):
        # A customer whose row was rejected is not absent: only a fully accepted file shows who has left.
        raise refusal(table, checked, uploads.rejects_place(work.settings, work.job.id))
    if not checked.accepted:
        raise InvalidTable(messages.no_row_accepted(checked.total, checked.rejects[0]), details=checked.rejects)


def _result(work: Work, checked: CheckedFile, present: Base | None, params: ImportParams) -> dict[str, Any]:
    work.step(0.36, "Comparing with the known customers")
    checked.staging.resolve(work.database, several=checked.several)
    counts = checked.staging.counts(work.database, present.schema if present else None)
    with work.database.read() as connection:
        complete_to = maturity.complete_to(connection)
    if not params.ends_are_of_today:
        checked.notes.extend(joined_ends.notes(work.database, checked.staging))
    elif not (checked.staging.has("start") and checked.staging.has("end")):
        raise invalid("ends_are_of_today", "the schema names no start and end of subscriptions")
    return {
        "file_name": params.file_name,
        "rows": checked.accepted,
        "total": checked.total,
        "accepted": checked.accepted,
        "rejected": checked.rejected,
        "rejects": checked.rejects,
        "rejects_file": f"/api/customers/import/{work.job.id}/rejects" if checked.rejected else None,
        "as_of": checked.last_date,
        "first_as_of": checked.first_date,
        "customers_new": counts.new,
        "customers_updated": counts.updated,
        "customers_unchanged": counts.unchanged,
        "customers_disappeared": counts.disappeared,
        "declared_gone": 0,
        "complete_to": complete_to,
        "dry_run": params.dry_run,
        "unchanged": False,
        "recognised": checked.recognised,
        "notes": checked.notes,
    }


def _identity(table: OpenTable, checked: CheckedFile) -> dict[str, Any]:
    """Return the columns that identify an import."""
    schema = checked.staging.schema
    return {"sha256": table.sha256, "schema_checksum": schema.checksum(), "as_of": checked.last_date}


def _is_imported(work: Work, table: OpenTable, checked: CheckedFile, params: ImportParams) -> bool:
    """Return whether the same file was imported before, and said the same of absent customers."""
    with work.database.read() as connection:
        if params.absent_are_gone and checked.last_date not in maturity.full_snapshots(connection):
            return False
        return imports.was_imported(connection, **_identity(table, checked))


def _again(work: Work, params: ImportParams, result: dict[str, Any]) -> dict[str, Any]:
    """Record only what the options say about ends: the facts were imported before."""
    told = params.ends_complete_to.isoformat() if params.ends_complete_to else None
    with locks.facts_alone(work), interruptible(None):
        known = known_ends.measure(work.database)
        with work.database.write() as connection:
            jobs.bind(connection, work.job)
            ends = known_ends.record(connection, known, told=told, now=iso(work.clock()))
        if ends["complete_to"] != known.before:
            refresh_figures(work)
    return {**ends, "notes": [*result["notes"], *ends["notes"]], "customers_new": 0, "customers_updated": 0}


def _accept(
    work: Work,
    table: OpenTable,
    checked: CheckedFile,
    present: Base | None,
    params: ImportParams,
    result: dict[str, Any],
) -> Pending:
    """Record the import as accepted: from now on it will be finished, whatever happens."""
    now, staging = iso(work.clock()), checked.staging
    staging.seal()
    with work.database.write() as connection:
        if present is None:
            if customer_base.get(connection) is not None:
                raise Conflict("Another import has just created the customers: check them, then import again.")
            customer_base.adopt(connection, staging.schema, is_demo=False, clock=work.clock)
            vouching.record_schema(connection, staging.schema.vouched, at=now, actor=work.actor)
        plan = _plan(connection, checked, params, result, now)
        imports.begin(
            connection, job=work.job, plan=asdict(plan), rejected=checked.rejected,
            file_name=params.file_name, rows=checked.accepted, new=result["customers_new"],
            updated=result["customers_updated"], now=now, **_identity(table, checked),
        )  # fmt: skip
        accepted = imports.pending(connection)
    assert accepted is not None
    staging.keep()
    return accepted


def _plan(connection: Connection, checked: CheckedFile, params: ImportParams, result: dict[str, Any], now: str) -> Plan:
    staging, present = checked.staging, customer_base.get(connection)
    first, last, told = checked.first_date, checked.last_date, params.ends_complete_to
    assert present is not None
    assert first is not None
    assert last is not None
    return Plan(
        staging=str(staging.path), present=present.schema.as_dict(), given=staging.schema.as_dict(),
        roles=list(staging.roles), several=checked.several,
        corrects=apply_import.has_dates_between(connection, first, last),
        lifetimes=facts.has_subscriptions(connection), absent_on=last if params.absent_are_gone else None,
        today=now[:10], now=now, file=params.path, result=result,
        later_fulls=[day for day in maturity.full_snapshots(connection) if day > first],
        complete_to=told.isoformat() if told else None, ends_are_of_today=params.ends_are_of_today,
    )  # fmt: skip

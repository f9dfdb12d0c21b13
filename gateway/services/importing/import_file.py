"""Importing a customer table: checked whole into a scratch file, then published whole or not at all.

Law: facts are appended with their date; the present state of a customer is that of its newest facts; nothing is
written to the database before every row has been looked at (docs/decisions/0008).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from database.customers import customer_base, facts
from database.customers.customer_base import Base
from database.engine.session import Connection
from database.engine.sqlite.space import free_disk
from database.importing import apply_import, imports
from database.importing.apply_import import Plan
from database.jobs import jobs
from gateway.services.importing import uploads
from gateway.services.importing.finishing import bring_up_to_date, finish, finish_pending, write_alone
from gateway.services.importing.rejects import write_rejects
from gateway.services.importing.staged import Staged, refusal, stage
from gateway.services.jobs import locks
from gateway.services.jobs.work import Work
from shared.clock import iso
from shared.errors import Conflict, InvalidInput, InvalidTable, SchemaMismatch
from shared.schema.features import Schema, schema_from_dict
from shared.tables.open import OpenTable, open_table

__all__ = ["bring_up_to_date", "last_activity", "run"]

OTHER_BASE = (
    "This database holds the customer base {name!r}, whose columns mean something else. "
    "One database is one customer base: start a new one with "
    "`DATABASE_PATH=./database/another.db retainstream import FILE --schema SCHEMA`{demo}."
)
DEMO_HINT = ", or remove the demo first with `retainstream demo --remove`"
#: Bytes in the database for each byte in the scratch file: a customer, a snapshot, their indexes, the log of both.
GROWTH = 3


def run(work: Work) -> Mapping[str, Any]:
    """The job: params {path, schema, file_name, as_of?, dry_run?, keep_good?, full_snapshot?, absent_are_gone?}."""
    params = work.job.params
    with locks.alone(work, locks.IMPORTS, "Waiting for another import to end"):
        with work.database.read() as connection:
            found = imports.pending(connection)
        if found is not None:
            before = write_alone(work, lambda: finish(work, found))
            if found.job_id == work.job.id:
                return before
        try:
            return _import(work, params)
        finally:
            with work.database.read() as connection:
                kept = imports.pending(connection)
            if kept is None or kept.job_id != work.job.id:
                uploads.discard(params["path"])


def _import(work: Work, params: Mapping[str, Any]) -> Mapping[str, Any]:
    began = time.monotonic()
    schema = schema_from_dict(params["schema"])
    data_folder = work.settings.data_folder
    with work.database.read() as connection:
        needed = jobs.unfinished_params(connection, "path")
    uploads.sweep(data_folder, needed=frozenset(needed))
    as_of = params.get("as_of") or work.clock().date().isoformat()
    _refuse_future(work, as_of)
    work.step(0.0, "Looking at the file")
    with work.database.read() as connection:
        present = customer_base.get(connection)
        notes = _fits(connection, present, schema)
    table = open_table(params["path"], folder=uploads.folder(data_folder))
    scratch = uploads.folder(data_folder) / f"staged-{work.job.id}-{work.job.attempt}.db"
    keep = False
    try:
        guess = max(table.size / 60, 1)  # rows, by a usual length of line: good enough for a progress bar
        staged = stage(
            table,
            schema,
            scratch,
            as_of=as_of,
            today=work.clock().date(),
            report=lambda rows: work.step(min(rows / guess * 0.35, 0.35), f"Checked {rows:,} rows"),
        )
        staged.notes.extend(notes)
        _refuse_rejects(work, table, staged, params)
        result = _result(work, table, staged, present, params)
        if params.get("dry_run"):
            return {**result, "seconds": round(time.monotonic() - began, 2)}
        done = _accept(work, table, staged, present, schema, result)
        keep = done is None
    finally:
        table.close()
        if not keep:
            for ending in ("", "-journal"):
                scratch.with_name(scratch.name + ending).unlink(missing_ok=True)
    published = done if done is not None else write_alone(work, lambda: finish_pending(work) or {})
    return {**published, "seconds": round(time.monotonic() - began, 2)}


def _refuse_future(work: Work, as_of: str) -> None:
    today = work.clock().date()
    if date.fromisoformat(as_of) > today:
        message = f"{as_of} lies in the future (today is {today})"
        raise InvalidInput(f"as_of: {message}.", details=[{"field": "as_of", "message": message}])


def _fits(connection: Connection, present: Base | None, schema: Schema) -> list[str]:
    """Notes on the schema, if the base can take a file of it. Raises SchemaMismatch."""
    if present is None or present.checksum == schema.checksum():
        return []
    if customer_base.schema_of(connection, schema.checksum()) is None:
        raise SchemaMismatch(OTHER_BASE.format(name=present.name, demo=DEMO_HINT if present.is_demo else ""))
    later = [name for name in present.schema.features if name not in schema.features]
    return [f"The base has more features than this schema: {', '.join(later)} are missing in these facts."]


def _refuse_rejects(work: Work, table: OpenTable, staged: Staged, params: Mapping[str, Any]) -> None:
    if not staged.rejected:
        return
    out = uploads.rejects_path(work.settings.data_folder, work.job.id)
    write_rejects(table, staged, out)
    if params.get("absent_are_gone") or not (params.get("keep_good") or params.get("dry_run")):
        # Whose row was rejected is not absent: only a file that is taken whole says who has left.
        raise refusal(table, staged, uploads.rejects_place(work.settings, work.job.id))
    if not staged.accepted:
        raise InvalidTable(f"None of the {staged.total:,} rows can be used: {staged.rejects[0]['message']}.",
                           details=staged.rejects)  # fmt: skip


def _result(
    work: Work, table: OpenTable, staged: Staged, present: Base | None, params: Mapping[str, Any]
) -> dict[str, Any]:
    work.step(0.36, "Comparing with the customers that are known")
    staged.staging.resolve(work.database, several=staged.several)
    counts = staged.staging.counts(work.database, present.schema if present else None)
    return {
        "file_name": params["file_name"],
        "rows": staged.accepted,
        "total": staged.total,
        "accepted": staged.accepted,
        "rejected": staged.rejected,
        "rejects": staged.rejects,
        "rejects_file": f"/api/customers/import/{work.job.id}/rejects" if staged.rejected else None,
        "as_of": staged.last_date,
        "first_as_of": staged.first_date,
        "customers_new": counts.new,
        "customers_updated": counts.updated,
        "customers_unchanged": counts.unchanged,
        "customers_disappeared": counts.disappeared,
        "declared_gone": 0,
        "dry_run": bool(params.get("dry_run")),
        "unchanged": False,
        "recognised": staged.recognised,
        "notes": staged.notes,
    }


def _accept(
    work: Work, table: OpenTable, staged: Staged, present: Base | None, schema: Schema, result: dict[str, Any]
) -> Mapping[str, Any] | None:
    """Note the import, from which moment it will be finished; its result if this very file is in already."""
    params, now = work.job.params, iso(work.clock())
    uploads.require_room(free_disk(work.database), GROWTH * staged.staging.size())
    staged.staging.seal()
    first, last = staged.first_date, staged.last_date
    assert first is not None
    assert last is not None
    gone = bool(params.get("absent_are_gone"))
    with work.database.write() as connection:
        space = apply_import.room(connection)
        if space is not None and space < GROWTH * staged.staging.size():
            raise Conflict("The database has no room for this import (its limit of pages); nothing was written.")
        known = {"sha256": table.sha256, "schema_checksum": schema.checksum(), "as_of": last}
        if imports.seen(connection, **known) and not gone:
            return {**result, "unchanged": True, "customers_new": 0, "customers_updated": 0}
        if present is None:
            if customer_base.get(connection) is not None:
                raise Conflict("Another customer base came in between; look at it, then import again.")
            customer_base.adopt(connection, schema, is_demo=False, clock=work.clock)
        now_present = customer_base.get(connection)
        assert now_present is not None
        plan = Plan(
            staging=str(staged.staging.path), present=now_present.schema.as_dict(), given=schema.as_dict(),
            roles=list(staged.staging.roles), several=staged.several,
            corrects=apply_import.knows_dates_between(connection, first, last),
            lifetimes=facts.has_subscriptions(connection), absent_on=last if gone else None, today=now[:10], now=now,
            file=params["path"], result=result,
        )  # fmt: skip
        imports.begin(
            connection, job_id=work.job.id, plan=asdict(plan), rejected=staged.rejected, file_name=params["file_name"],
            rows=staged.accepted, new=result["customers_new"], updated=result["customers_updated"], now=now, **known,
        )  # fmt: skip
    return None


def last_activity(days: float | None) -> str | None:
    """Days since the last login in the old backend's words.

    >>> last_activity(0), last_activity(1), last_activity(12), last_activity(None)
    ('Today', 'Yesterday', '12 days ago', None)
    """
    if days is None:
        return None
    return {0: "Today", 1: "Yesterday"}.get(int(days), f"{int(days)} days ago")

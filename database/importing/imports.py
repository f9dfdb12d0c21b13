"""Records of imports, so that importing the same file twice changes nothing.

Law: a file is identified by its bytes, its schema and its date; the facts of an import do not count until it is
published (`facts.published`); its row has the plan to finish it until the derived figures are up to date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from database.jobs import jobs
from database.jobs.jobs import Job
from database.tables.tables import imports

#: Prefix of the checksum of a simulated month; no file's checksum has it.
SIMULATED = "simulated-"


def was_imported(connection: Connection, *, sha256: str, schema_checksum: str, as_of: str | None) -> bool:
    """Return whether the same file was imported before, with the same schema and date."""
    query = select(imports.c.id).where(
        imports.c.sha256 == sha256,
        imports.c.schema_checksum == schema_checksum,
        imports.c.as_of == as_of,
        imports.c.state == "published",
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def record(
    connection: Connection,
    *,
    file_name: str,
    sha256: str,
    schema_checksum: str,
    as_of: str | None,
    rows: int,
    new: int,
    updated: int,
    now: str,
) -> int:
    """Add a published import and return its id."""
    return connection.execute(
        insert(imports)
        .values(
            file_name=file_name,
            sha256=sha256,
            schema_checksum=schema_checksum,
            as_of=as_of,
            rows=rows,
            customers_new=new,
            customers_updated=updated,
            created_at=now,
        )
        .returning(imports.c.id)
    ).scalar_one()


@dataclass(frozen=True)
class Pending:
    """An accepted import that is not published yet."""

    id: int
    job_id: int | None
    written: int
    plan: Mapping[str, Any]


def begin(connection: Connection, *, job: Job, plan: Mapping[str, Any], rejected: int, **noted: Any) -> int:
    """Accept an import (`noted` as in `record`): from here on it is finished, whatever happens to the process.

    Raises
    ------
    Cancelled
        The cancellation of its job was requested, or its worker lost it.
    """
    jobs.bind(connection, job)
    import_id = record(connection, **noted)
    connection.execute(
        update(imports)
        .where(imports.c.id == import_id)
        .values(state="publishing", job_id=job.id, rejected=rejected, plan_json=json.dumps(dict(plan)))
    )
    return import_id


def pending(connection: Connection) -> Pending | None:
    """Return the accepted import that is not published yet; there is at most one."""
    return next(iter(_planned(connection, "publishing")), None)


def unsettled(connection: Connection) -> list[Pending]:
    """Return the published imports whose figures are not up to date yet."""
    return _planned(connection, "published")


def files(connection: Connection) -> set[str]:
    """Return the paths of the files that unsettled imports still need."""
    planned = [*_planned(connection, "publishing"), *unsettled(connection)]
    return {each.plan[name] for each in planned for name in ("staging", "file") if each.plan[name]}


def _planned(connection: Connection, state: str) -> list[Pending]:
    query = select(imports.c.id, imports.c.job_id, imports.c.written, imports.c.plan_json).order_by(imports.c.id)
    rows = connection.execute(query.where(imports.c.state == state, imports.c.plan_json.is_not(None)))
    return [Pending(row.id, row.job_id, row.written, json.loads(row.plan_json)) for row in rows]


def advance(connection: Connection, import_id: int, written: int) -> None:
    """Record the number of the last written row, in the transaction that writes it."""
    connection.execute(update(imports).where(imports.c.id == import_id).values(written=written))


def publish(connection: Connection, import_id: int) -> None:
    """Publish an import, so that its facts count; the derived figures are not up to date yet."""
    connection.execute(update(imports).where(imports.c.id == import_id).values(state="published"))


def settle(connection: Connection, import_id: int) -> None:
    """Record that the derived figures are up to date, so that the import is finished."""
    connection.execute(update(imports).where(imports.c.id == import_id).values(plan_json=None))


def fail(connection: Connection, import_id: int) -> None:
    """Give up an import that can't be finished: its facts never count."""
    connection.execute(update(imports).where(imports.c.id == import_id).values(state="failed", plan_json=None))


def page(connection: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return imports, newest first."""
    named = ("id", "file_name", "as_of", "rows", "rejected", "customers_new", "customers_updated", "state", "job_id")
    query = select(*[imports.c[name] for name in (*named, "created_at")]).order_by(imports.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def has_own(connection: Connection) -> bool:
    """Return whether anything but the demo's simulated months was imported."""
    query = select(imports.c.id).where(imports.c.sha256.not_like(f"{SIMULATED}%"))
    return connection.execute(query.limit(1)).one_or_none() is not None

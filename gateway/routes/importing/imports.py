"""Imports over REST: upload a file with its schema, list imports, fetch rejected rows.

Law: an upload is stored for the worker; its contents are not parsed here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from database.customers import customer_base, maturity
from database.importing import imports
from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes.jobs.job_files import sent
from gateway.routes.jobs.job_responses import ACCEPTED
from gateway.routes.jobs.upload_jobs import FAILURES, FileForm, answer_upload
from gateway.services import kinds
from gateway.services.importing import uploads
from gateway.services.jobs.params import FileParams, ImportParams, OutcomesParams
from gateway.web_environment import environment
from shared.errors import InvalidSchema, invalid
from shared.parsing_limits import MAX_INT64, MAX_SCHEMA_CHARACTERS
from shared.schema.features import Schema, built_in_schema, parse_schema
from shared.validation import Flag, IsoDate

bp = blueprint("imports", __name__, prefix="/api/customers")
OPTIONS = {"as_of", "dry_run", "keep_good", "absent_are_gone", "ends_complete_to", "ends_are_of_today"}
COMPLETE_TO = "Every end up to this day is known once the file is imported"
KNOWN_TO = "The day up to which all ends are known; null if it is not known"


class ImportForm(FileForm):
    """A file of customers, and options of the import."""

    schema_: str | None = Field(
        None, alias="schema", max_length=MAX_SCHEMA_CHARACTERS,
        description="TOML, or `retainstream` for the built-in one; that of the customer base if absent",
    )  # fmt: skip
    as_of: IsoDate | None = Field(None, description="Date of the facts if the file has none; today if absent")
    dry_run: Flag = Field(False, description="Check and count, write nothing")
    keep_good: Flag = Field(False, description="Import the valid rows even if others are rejected")
    full_snapshot: Flag = Field(False, description="The file holds every customer of its date")
    absent_are_gone: Flag = Field(False, description="With full_snapshot: customers who are not in the file have left")
    ends_complete_to: IsoDate | None = Field(None, description=COMPLETE_TO)
    ends_are_of_today: Flag = Field(
        False, description="The ends in the file are known since today, not since the dates of its rows"
    )


class OutcomesForm(FileForm):
    """A file with user_id, ended_at, and optionally end_reason and started_at."""

    dry_run: Flag = False
    keep_good: Flag = False
    ends_complete_to: IsoDate | None = Field(None, description=COMPLETE_TO)


class ImportOut(BaseModel):
    """The result of an import."""

    rows: int
    total: int
    accepted: int
    rejected: int
    rejects: list[dict[str, Any]]
    rejects_file: str | None
    as_of: str | None
    customers_new: int
    customers_updated: int
    customers_unchanged: int
    customers_disappeared: int
    declared_gone: int
    complete_to: str | None = Field(description=KNOWN_TO)
    dry_run: bool
    unchanged: bool
    recognised: dict[str, Any]
    notes: list[str]


class OutcomesOut(BaseModel):
    """The result of an import of outcomes."""

    total: int
    accepted: int
    rejected: int
    rejects: list[dict[str, Any]]
    rejects_file: str | None
    ended: int
    announced: int
    complete_to: str | None = Field(description=KNOWN_TO)
    dry_run: bool
    notes: list[str]


class PreviewOut(BaseModel):
    """The first rows of a file as they are read."""

    columns: list[str]
    rows: list[list[str | None]]
    encoding: str | None
    delimiter: str | None
    notes: list[str]


class ColumnSeen(BaseModel):
    """A column of the file."""

    name: str
    examples: list[str] = Field(description="Its first different values, as text")
    distinct: int = Field(description="Different values")
    blank: int = Field(description="Cells without a value")
    notes: list[str] = Field(description="The notes that name the column")


class ProposalOut(BaseModel):
    """A schema to read and correct."""

    toml: str
    table_schema: dict[str, Any] = Field(description="The same schema as plain values")
    notes: list[str]
    seen: dict[str, str]
    columns: list[ColumnSeen]


class ImportsOut(BaseModel):
    """Imports, newest first, and up to when ends are known."""

    imports: list[dict[str, Any]]
    complete_to: str | None = Field(description=KNOWN_TO)


class ImportsQuery(Query):
    """The number of imports to list."""

    limit: int = Field(50, ge=1, le=100)


class JobPath(BaseModel):
    """The job of an import."""

    job_id: int = Field(ge=1, le=MAX_INT64)


@bp.post("/import", summary="Import customers", responses=answers(ImportOut, also=FAILURES) | ACCEPTED)
def import_file(form: ImportForm) -> Response:
    """CSV or Parquet, multipart; all rows or none, unless `keep_good`."""
    if form.absent_are_gone and not form.full_snapshot:
        raise invalid("absent_are_gone", "needs full_snapshot: only a file with every customer shows who is absent")
    options = form.model_dump(include=OPTIONS)
    schema = _schema(form.schema_).as_dict()
    return answer_upload(kinds.IMPORT, form.file, partial(ImportParams, schema=schema, **options))


@bp.post("/import/preview", summary="A file's first rows", responses=answers(PreviewOut, also=FAILURES) | ACCEPTED)
def preview(form: FileForm) -> Response:
    """The first twenty rows as an import would read them, with encoding, delimiter and header."""
    return answer_upload(kinds.PREVIEW, form.file, FileParams)


@bp.post(
    "/import/schema", summary="Propose a schema for a file", responses=answers(ProposalOut, also=FAILURES) | ACCEPTED
)
def propose(form: FileForm) -> Response:
    """A schema inferred from headers and values; each guess is noted."""
    return answer_upload(kinds.PROPOSE_SCHEMA, form.file, FileParams)


@bp.post("/outcomes", summary="Import ends of subscriptions", responses=answers(OutcomesOut, also=FAILURES) | ACCEPTED)
def import_outcomes(form: OutcomesForm) -> Response:
    """Columns user_id, ended_at, and optionally end_reason and started_at."""
    options = form.model_dump(include={"dry_run", "keep_good", "ends_complete_to"})
    return answer_upload(kinds.IMPORT_OUTCOMES, form.file, partial(OutcomesParams, **options))


@bp.get("/import", summary="Imports, newest first", responses=answers(ImportsOut))
def list_imports(query: ImportsQuery) -> Response:
    """Newest first."""
    with environment().database.read() as connection:
        known = maturity.complete_to(connection)
        return ok(ImportsOut(imports=imports.page(connection, query.limit), complete_to=known))


@bp.get("/import/<int:job_id>/rejects", summary="Rows that an import rejected", responses=answers(str, also=(404, 503)))
def rejects(path: JobPath) -> Response:
    """CSV: the reason, then the row as in the file; correct it and import it again. Who fetches it is recorded."""
    found = uploads.rejects(environment().settings.data_folder, path.job_id)
    return sent(found, "rejects.fetched", path.job_id, mimetype="text/csv", download_name=found.name)


def _schema(given: str | None) -> Schema:
    if given == "retainstream":
        return built_in_schema()
    if given and given.strip():
        return parse_schema(given)
    with environment().database.read() as connection:
        present = customer_base.get(connection)
    if present is None:
        raise InvalidSchema("schema: there are no customers yet, so the first import needs one.",
                            details=[{"field": "schema", "message": "needed for the first import"}])  # fmt: skip
    return present.schema

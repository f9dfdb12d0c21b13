"""Exports over REST: customers, the risk list, segments and the ledger, as CSV, NDJSON or Parquet.

Law: a stream reads one snapshot of the database and is never silently cut short: a failure breaks the connection, so
that no client takes half an answer for a complete one. The manifest of an export has its row count and SHA-256.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from flask import Response, request
from pydantic import BaseModel, Field

from gateway.openapi import Failure, Query, answers, blueprint, ok
from gateway.routes.exporting.streams import STREAM, opened, streamed
from gateway.routes.jobs.job_files import sent
from gateway.routes.jobs.job_responses import ACCEPTED, answer_job, answers_job
from gateway.services import kinds
from gateway.services.customers import filtering
from gateway.services.exporting import export_files, exporting
from gateway.services.exporting.exporting import Content, Format
from gateway.services.jobs import work
from gateway.services.jobs.params import ExportParams
from gateway.web_environment import environment
from shared.parsing_limits import MAX_INT64

bp = blueprint("exports", __name__, prefix="/api")
PARQUET_TYPE = "application/vnd.apache.parquet"
FILE: dict[Any, Any] = {
    "200": {
        "description": "The file",
        "content": {PARQUET_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


class CustomersExport(filtering.FilterFields, Query):
    """Customers to export, and the format."""

    open_prefix: ClassVar[str | None] = filtering.PREFIX
    content: Literal["customers", "risk", "segments"] = Field("customers", description="The table")
    format: Literal["csv", "ndjson", "parquet"] = Field("csv", description="parquet: written as a job")
    sort: str | None = Field(None, max_length=500, description="Order of the risk list, as in GET /api/customers")
    top: int | None = Field(None, ge=1, le=exporting.MOST, description="At most so many customers of the risk list")


class PredictionsExport(filtering.LedgerFields, Query):
    """Predictions to export, and the format."""

    format: Literal["csv", "ndjson", "parquet"] = Field("csv", description="parquet: written as a job")


class CustomersFile(CustomersExport):
    """The export to write to a file."""

    format: Literal["parquet"] = Field("parquet")


class PredictionsFile(PredictionsExport):
    """The export to write to a file."""

    format: Literal["parquet"] = Field("parquet")


class FileMade(BaseModel):
    """A file that a job wrote."""

    file: str
    content: str
    format: str
    filters: list[list[str]]
    rows: int
    bytes: int
    sha256: str
    expires_at: str


class CustomersManifest(CustomersExport):
    """The export of customers to describe."""

    format: Literal["csv", "ndjson"] = Field("csv")  # the result of a Parquet job has its own checksum


class PredictionsManifest(PredictionsExport):
    """The export of predictions to describe."""

    format: Literal["csv", "ndjson"] = Field("csv")


class Manifest(BaseModel):
    """Rows and checksum of an export as it would be sent now."""

    content: str
    format: str
    filters: list[list[str]]
    columns: list[str]
    rows: int
    bytes: int
    sha256: str
    etag: str
    schema_checksum: str
    model_version: str | None
    as_of: str | None


class JobPath(BaseModel):
    """A job, by its number."""

    job_id: int = Field(ge=1, le=MAX_INT64)


@bp.get(
    "/customers/export",
    summary="All customers, the risk list or segments",
    responses={**answers(Manifest, also=(409, 503)), **STREAM, **ACCEPTED},
)
def export_customers(query: CustomersExport) -> Response:
    """CSV and NDJSON are streamed; Parquet is a job (202), whose file is at /api/jobs/<id>/file once it is done."""
    return _job(query.content) if query.format == "parquet" else streamed(query.content, query.format, _pairs())


@bp.get(
    "/predictions/export",
    summary="The ledger of predictions, with outcomes",
    responses={**answers(Manifest, also=(409, 503)), **STREAM, **ACCEPTED},
)
def export_predictions(query: PredictionsExport) -> Response:
    """CSV and NDJSON are streamed; Parquet is a job (202)."""
    return _job("predictions") if query.format == "parquet" else streamed("predictions", query.format, _pairs())


@bp.post(
    "/customers/export", summary="Write customers, risk list or segments to a file", responses=answers_job(FileMade)
)
def write_customers(query: CustomersFile) -> Response:
    """The same query as for a stream; the answer is 202 and a job, whose file is at /api/jobs/<id>/file."""
    return _job(query.content)


@bp.post("/predictions/export", summary="Write the ledger of predictions", responses=answers_job(FileMade))
def write_predictions(query: PredictionsFile) -> Response:
    """The same query as for a stream; the answer is 202 and a job."""
    return _job("predictions")


@bp.get("/customers/export/manifest", summary="Rows and SHA-256 of an export", responses=answers(Manifest, also=(503,)))
def customers_manifest(query: CustomersManifest) -> Response:
    """Reads the whole export without sending it; describes every stream that has the same `ETag`."""
    return _manifest(query.content, query.format)


@bp.get(
    "/predictions/export/manifest", summary="Rows and SHA-256 of an export", responses=answers(Manifest, also=(503,))
)
def predictions_manifest(query: PredictionsManifest) -> Response:
    """Reads the whole export without sending it."""
    return _manifest("predictions", query.format)


@bp.get(
    "/jobs/<int:job_id>/file",
    summary="The file that an export wrote",
    responses={**FILE, "404": Failure, "409": Failure, "503": Failure},
)
def job_file(path: JobPath) -> Response:
    """Ranges (`Range`) are served too. Who fetches it is recorded."""
    env = environment()
    job = work.read(env.database, path.job_id)
    file = export_files.finished(
        env.settings.data_folder, job, keep_hours=env.settings.export_keep_hours, now=env.clock()
    )
    name = f"{kinds.EXPORT.read(job.params).content}.parquet"
    etag = (job.result or {}).get("sha256", True)
    return sent(file, "export.fetched", job.id, mimetype=PARQUET_TYPE, download_name=name, etag=etag)


def _pairs() -> list[tuple[str, str]]:
    return list(request.args.items(multi=True))


def _manifest(content: Content, form: Format) -> Response:
    export = opened(content, form, _pairs())
    try:
        for _ in export:
            pass
        return ok(Manifest.model_validate(export.manifest()))
    finally:
        export.close()


def _job(content: Content) -> Response:
    """Check the filters and queue a Parquet export; while it is queued, the same request returns the same job."""
    env = environment()
    pairs = [pair for pair in _pairs() if pair[0] not in exporting.NAMES]
    with env.database.read() as connection:
        exporting.select(connection, content, pairs, unsure_below=env.settings.confidence_threshold)
    if request.method == "HEAD":
        return Response(status=202)
    return answer_job(kinds.EXPORT, ExportParams(content, tuple(pairs)), default_wait_s=0.0, done=ok, share=True)

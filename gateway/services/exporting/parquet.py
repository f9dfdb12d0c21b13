"""Exports as Parquet files: written by the worker as a job, kept for a while, fetched from disk.

Law: worker and commands only; the web process imports no Arrow. A file is written under another name and
renamed, so a file under its final name is complete; the folder is the only record of which files exist. Only the
present attempt of a job gives its file the final name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from database.engine.interruption import CANCELLED
from database.exporting.selection import Column
from database.jobs import jobs
from gateway.services.exporting import export_files, exporting
from gateway.services.jobs.params import ExportParams
from gateway.services.jobs.work import Work
from gateway.services.scoring.columns import by_column
from shared.clock import iso
from shared.errors import Cancelled, DiskFull, ServiceUnavailable, is_disk_full
from shared.plural import plural
from shared.tables.csv import blocks

ROWS_AT_ONCE = 20_000
TYPES: Mapping[str, Any] = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "date": pa.date32()}


def run(work: Work, params: ExportParams) -> Mapping[str, Any]:
    """Write an export's file; return its address and its checksum.

    Raises
    ------
    DiskFull
    ServiceUnavailable
        The file can't be written: the folder belongs to another user.
    """
    folder = export_files.folder(work.settings.data_folder)
    export_files.remove_old(folder, keep_hours=work.settings.export_keep_hours, now=work.clock())
    path = export_files.path(work.settings.data_folder, work.job.id)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rows = write(work, params, path)
        size, sha256 = path.stat().st_size, _sha256(work, path)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull from None
        raise ServiceUnavailable(f"The export can't be written: {error.strerror or error}. Nothing was kept.") from None
    return {
        "file": f"/api/jobs/{work.job.id}/file",
        "content": params.content,
        "format": "parquet",
        "filters": params.filters,
        "rows": rows,
        "bytes": size,
        "sha256": sha256,
        "expires_at": iso(export_files.expires_at(path, work.settings.export_keep_hours)),
    }


def write(work: Work, params: ExportParams, path: Path) -> int:
    """Write the rows to `path` and return their number."""
    aside = export_files.unfinished(path, work.job.attempt)
    done = 0
    try:
        with work.database.read() as connection:
            schema, selection = exporting.select(
                connection, params.content, params.filters, unsure_below=work.settings.confidence_threshold
            )
            form = pa.schema([pa.field(column.name, TYPES[column.kind]) for column in selection.columns])
            form = form.with_metadata({"retainstream_schema": schema.checksum(), "content": params.content})
            with pq.ParquetWriter(aside, form, compression="zstd") as writer:
                for chunk in _chunks(selection.rows):
                    writer.write_batch(_batch(form, selection.columns, chunk))
                    done += len(chunk)
                    work.step(1 - ROWS_AT_ONCE / (done + ROWS_AT_ONCE), f"Wrote {plural(done, 'row')}")
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        with work.database.write() as connection:
            # No other attempt can take the job over meanwhile, so that the last one's file stays.
            if jobs.heartbeat(connection, work.job, now=iso(work.clock())):
                raise Cancelled(CANCELLED)
            aside.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            aside.unlink()
        raise
    return done


def _chunks(rows: Iterator[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield chunk


def _batch(form: pa.Schema, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    arrays = []
    for column, field, values in zip(columns, form, by_column(rows), strict=True):
        cells = [v and date.fromisoformat(v) for v in values] if column.kind == "date" else values
        arrays.append(pa.array(cells, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=form)


def _sha256(work: Work, path: Path) -> str:
    digest = hashlib.sha256()
    for block in blocks(path, work.check):
        digest.update(block)
    return digest.hexdigest()

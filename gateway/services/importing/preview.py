"""Preview of a file, and a proposed schema for it, before anything is imported.

Law: nothing is written; of a long file only its beginning is judged, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.services.importing import uploads
from gateway.services.jobs.work import Work
from shared.parsing_limits import MAX_PREVIEW_CHARACTERS
from shared.tables.open import open_table, read_first
from shared.tables.schema_inference import infer_schema

PREVIEW_ROWS = 20
MAX_CELL = 200


def preview(work: Work) -> Mapping[str, Any]:
    """The job: params {path, file_name}. The first rows as they stand in the file."""
    path = work.job.params["path"]
    try:
        work.step(0.0, "Looking at the file")
        table = open_table(path, folder=uploads.folder(work.settings.data_folder))
        table.close()
        first = read_first(path, PREVIEW_ROWS)
    finally:
        uploads.discard(path)
    longest = min(MAX_CELL, MAX_PREVIEW_CHARACTERS // ((PREVIEW_ROWS + 1) * len(first.names)))
    columns = [[_shown(value, longest) for value in column.to_pylist()] for column in first.columns]
    return {
        "file_name": work.job.params["file_name"],
        "columns": [_shown(name, longest) for name in first.names],
        "rows": [list(row) for row in zip(*columns, strict=True)],
        "encoding": table.encoding,
        "delimiter": table.delimiter,
        "bytes": table.size,
        "sha256": table.sha256,
        "notes": list(first.notes),
    }


def _shown(value: Any, longest: int) -> str | None:
    return None if value is None else str(value)[:longest]


def propose(work: Work) -> Mapping[str, Any]:
    """The job: params {path, file_name}. A schema to read and correct, as TOML and as plain values."""
    path = work.job.params["path"]
    try:
        work.step(0.0, "Reading the file")
        found = infer_schema(path, name=work.job.params["file_name"])
    finally:
        uploads.discard(path)
    return {
        "toml": found.to_toml(),
        "table_schema": found.schema.as_dict(),
        "notes": list(found.notes),
        "seen": dict(found.seen),
    }

"""Preview of a file, and a proposed schema for it, before anything is imported.

Law: nothing is written; only the beginning of a long file is read, and a note states this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from gateway.services.importing import uploads
from gateway.services.jobs.params import FileParams
from gateway.services.jobs.work import Work
from shared.parsing_limits import MAX_PREVIEW_CHARACTERS
from shared.proposal.columns_seen import EXAMPLES, notes_by_column
from shared.proposal.schema_inference import infer_schema
from shared.tables import file_notes
from shared.tables.open import OpenTable, open_table, read_columns

PREVIEW_ROWS = 20
NOTES_OF_A_COLUMN = 10
MAX_CELL = 200


def preview(work: Work, params: FileParams) -> Mapping[str, Any]:
    """Return the first rows as they are in the file."""
    work.afterwards(partial(uploads.discard, params.path))
    work.step(0.0, "Opening the file")
    spool = uploads.folder(work.settings.data_folder)
    with closing(open_table(uploads.present(params), folder=spool, between=work.check)) as table:
        first = read_columns(table, PREVIEW_ROWS)
        notes = [*first.notes, *_left_out(table)]
    longest = min(MAX_CELL, MAX_PREVIEW_CHARACTERS // ((PREVIEW_ROWS + 1) * len(first.names)))
    columns = [[_shown(value, longest) for value in column.to_pylist()] for column in first.columns]
    return {
        "file_name": params.file_name,
        "columns": [_shown(name, longest) for name in first.names],
        "rows": [list(row) for row in zip(*columns, strict=True)],
        "encoding": table.encoding,
        "delimiter": table.delimiter,
        "bytes": table.size,
        "sha256": table.sha256,
        "notes": notes,
    }


def _left_out(table: OpenTable) -> Iterator[str]:
    """Yield a note if a previewed line has another number of cells than the header."""
    if table.ragged:
        first = table.ragged[0]
        line = table.lines_of([first.record])[first.record]
        yield file_notes.ragged_left_out(line, first.cells, len(table.names))


def _shown(value: Any, longest: int) -> str | None:
    return None if value is None else str(value)[:longest]


def propose(work: Work, params: FileParams) -> Mapping[str, Any]:
    """Propose a schema, to be read and corrected, as TOML and as plain values."""
    work.afterwards(partial(uploads.discard, params.path))
    work.step(0.0, "Reading the file")
    spool = uploads.folder(work.settings.data_folder)
    found = infer_schema(uploads.present(params), name=params.file_name, folder=spool, between=work.check)
    notes = notes_by_column(found.schema, [each.name for each in found.columns], found.notes, found.keys)
    longest = min(MAX_CELL, MAX_PREVIEW_CHARACTERS // (EXAMPLES * max(1, len(found.columns))))
    return {
        "toml": found.to_toml(),
        "table_schema": found.schema.as_dict(),
        "notes": list(found.notes),
        "seen": dict(found.seen),
        "columns": [
            {
                "name": each.name,
                "examples": [text[:longest] for text in each.examples],
                "distinct": each.distinct,
                "blank": each.blank,
                "notes": notes[each.name][:NOTES_OF_A_COLUMN],
            }
            for each in found.columns
        ],
    }

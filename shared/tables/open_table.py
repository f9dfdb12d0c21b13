"""A recognised customer table file: its rows batch by batch, from the start as often as wanted.

Law: memory does not grow with the file; a broken record is kept aside or refused, never passed on.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.csv

from shared.errors import InvalidTable
from shared.tables.columns import plain
from shared.tables.csv import unguarded
from shared.tables.files import parquet_file

BLOCK_BYTES = 4 * 1024 * 1024
BATCH_ROWS = 32_768
#: A record (a line, or several where a quoted cell holds line breaks) longer than this is no customer.
MAX_RECORD_BYTES = BLOCK_BYTES
#: More of them are not put right by hand: the file is another table than its header says.
MAX_RAGGED = 100_000
TOO_RAGGED = (
    f"More than {MAX_RAGGED:,} lines have another number of cells than the header ({{width}}), the first of them "
    "{cells}: check the delimiter and the quotation marks."
)
TOO_LONG = "A record is longer than 4 MB: a quotation mark is opened and not closed, or this is no customer table."

Bad = tuple[int, int, str]
"""A ragged record: its number (the header is 1), how many cells it has, its text."""


@dataclass
class OpenTable:
    """A recognised file; every call of `batches` reads it from the start.

    Attributes
    ----------
    names
        The header, as it stands in the file.
    encoding, delimiter
        None for Parquet.
    utf8
        The copy in UTF-8, where one had to be made.
    ragged
        Records of another width than the header, as far as the last reading came.
    """

    path: Path
    names: tuple[str, ...]
    sha256: str
    size: int
    notes: tuple[str, ...]
    encoding: str | None
    delimiter: str | None
    line_ends: int = 0
    ragged: list[Bad] = field(default_factory=list)
    utf8: Path | None = None

    @property
    def place_name(self) -> str:
        """What people count: lines of a CSV, rows of a Parquet file."""
        return "row" if self.delimiter is None else "line"

    def close(self) -> None:
        """Remove the UTF-8 copy, if there is one."""
        if self.utf8 is not None:
            self.utf8.unlink(missing_ok=True)

    def batches(self, wanted: Sequence[str] | None = None) -> Iterator[dict[str, pa.Array]]:
        """The rows in the file's order, the wanted columns (headers as in `names`; all if None).

        Raises
        ------
        InvalidTable
            Where the file breaks off or can't be parsed.
        """
        self.ragged = []  # a reading that is under way keeps its own list
        asked = None if wanted is None else frozenset(wanted)
        chosen = [n for n in self.names if n.strip() and (asked is None or n in asked)]
        return self._parquet_batches(chosen) if self.delimiter is None else self._csv_batches(chosen, self.ragged)

    def _parquet_batches(self, chosen: list[str]) -> Iterator[dict[str, pa.Array]]:
        try:
            with parquet_file(self.path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=chosen, use_threads=False):
                    batch.validate(full=True)
                    yield {n: plain(c) for n, c in zip(batch.schema.names, batch.columns, strict=True)}
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InvalidTable(f"The Parquet file is broken or not whole, upload it again: {error}") from None

    def _csv_batches(self, chosen: list[str], ragged: list[Bad]) -> Iterator[dict[str, pa.Array]]:
        places = {name: place for place, name in enumerate(self.names)}
        at = {f"f{places[name]}": name for name in chosen}
        first = True
        for batch in self._csv_reader(at, ragged):
            part = batch.slice(1) if first else batch
            first = False
            if part.num_rows:
                yield {at[n]: unguarded(c) for n, c in zip(part.schema.names, part.columns, strict=True)}

    def _csv_reader(self, at: dict[str, str], ragged: list[Bad]) -> Iterator[pa.RecordBatch]:
        def skip(row: Any) -> str:
            ragged.append((row.number, row.actual_columns, row.text[:80]))
            return "skip" if len(ragged) <= MAX_RAGGED else "error"

        try:
            yield from pa.csv.open_csv(
                self.utf8 or self.path,
                read_options=pa.csv.ReadOptions(
                    autogenerate_column_names=True, use_threads=False, block_size=BLOCK_BYTES
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=skip
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(at, pa.string()), include_columns=list(at), strings_can_be_null=False,
                    check_utf8=False,
                ),
            )  # fmt: skip
        except pa.ArrowException as error:
            if len(ragged) > MAX_RAGGED:
                raise InvalidTable(TOO_RAGGED.format(width=len(self.names), cells=ragged[0][1])) from None
            if "straddling" in str(error):
                raise InvalidTable(TOO_LONG) from None
            raise InvalidTable(f"The file can't be read as CSV: {error}") from None

    def text(self) -> TextIO:
        """The text of a CSV, opened from its start."""
        return (self.utf8 or self.path).open(encoding="utf-8-sig", errors="replace", newline="")

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each record of a CSV, the header first: slow, for mistakes."""
        assert self.delimiter is not None
        csv.field_size_limit(MAX_RECORD_BYTES)
        with self.text() as text:
            reader = csv.reader(text, delimiter=self.delimiter)
            line = 1
            try:
                for cells in reader:
                    if cells:
                        yield line, cells
                    line = reader.line_num + 1
            except csv.Error:
                raise InvalidTable(TOO_LONG) from None

    def lines_of(self, records: Sequence[int]) -> dict[int, int]:
        """Record number (the header is 1) to the number people know it by."""
        if self.delimiter is None:
            return {record: record - 1 for record in records}
        wanted, found = set(records), {}
        last = max(wanted, default=0)
        for number, (line, _) in enumerate(self.records(), start=1):
            if number in wanted:
                found[number] = line
            if number >= last:
                break
        return {record: found.get(record, record) for record in records}

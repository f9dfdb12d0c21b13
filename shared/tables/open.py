"""A customer table file is recognised by its bytes and read batch by batch, from the start as often as needed.

Law: memory does not grow with the file; a broken record is kept aside or refused, never passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.errors import Detail, DiskFull, InvalidTable, is_disk_full
from shared.tables import messages
from shared.tables.columns import Between, FileColumns, FileFormat, nothing, unnamed
from shared.tables.csv import BLOCK_BYTES, open_text, recognise_csv, records
from shared.tables.formula_guard import GUARDED, MARK, unguard_cell
from shared.tables.parquet import parquet_batches, recognise_parquet

#: More of them are not put right by hand: the file is another table than its header says.
MAX_RAGGED = 100_000
SHOWN_RAGGED = 100
#: Records that are read one by one before anybody is asked whether to go on.
RECORDS_AT_ONCE = 10_000


def open_table(path: Path | str, *, folder: Path | None = None, between: Between = nothing) -> OpenTable:
    """Recognise a CSV or Parquet file by its bytes.

    Parameters
    ----------
    folder
        Where a copy in UTF-8 may be written if the file is in another encoding; the system's folder for temporary
        files if absent.
    between
        Called between the pieces in which the file is read, now and later: what it raises ends the reading.

    Raises
    ------
    InvalidTable
        Where the file is no table: empty, no text, compressed, broken off, or with a header used twice.
    DiskFull
        Where there is no room for the copy.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            begin = file.read(64)
        if refusal := messages.other_file(begin):
            raise InvalidTable(refusal)
        found = recognise_parquet(path, between) if begin.startswith(b"PAR1") else recognise_csv(path, folder, between)
    except FileNotFoundError:
        raise InvalidTable(messages.no_file(path.name)) from None
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull from None
        raise InvalidTable(messages.unreadable(path.name, error.strerror or error)) from None
    found.notes += unnamed(found.names)
    found.between = between
    return OpenTable(**vars(found))


class Ragged(NamedTuple):
    """A record of another width than the header: its number (the header is 1), how many cells it has, its text."""

    record: int
    cells: int
    text: str


@dataclass
class OpenTable(FileFormat):
    """A recognised file; every call of `batches` reads it from the start.

    Attributes
    ----------
    ragged
        Records of another width than the header, as far as the last reading came.
    """

    ragged: list[Ragged] = field(default_factory=list)

    @property
    def place_name(self) -> str:
        """The word for a place: "line" in a CSV, "row" in a Parquet file."""
        return "row" if self.delimiter is None else "line"

    def close(self) -> None:
        """Remove the UTF-8 copy, if there is one."""
        if self.utf8 is not None:
            self.utf8.unlink(missing_ok=True)

    def header(self) -> FileColumns:
        """The named columns without any rows."""
        names = tuple(name for name in self.names if name.strip())
        return FileColumns(names, (pa.array([], pa.string()),) * len(names), self.delimiter)

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
        if self.delimiter is None:
            return self._one_by_one(parquet_batches(self.path, chosen))
        return self._one_by_one(self._csv_batches(chosen, self.ragged))

    def _one_by_one(self, batches: Iterator[dict[str, pa.Array]]) -> Iterator[dict[str, pa.Array]]:
        for batch in batches:
            self.between()
            yield batch

    def _csv_batches(self, chosen: list[str], ragged: list[Ragged]) -> Iterator[dict[str, pa.Array]]:
        places = {name: place for place, name in enumerate(self.names)}
        at = {f"f{places[name]}": name for name in chosen}
        first = True
        for batch in self._csv_reader(at, ragged):
            part = batch
            if first and batch.num_rows:
                if any(unguard_cell(batch[n][0].as_py()) != name for n, name in at.items()):
                    raise InvalidTable(messages.HEADER_UNREADABLE)
                part, first = batch.slice(1), False
            if part.num_rows:
                yield {at[n]: _unguarded(c) for n, c in zip(part.schema.names, part.columns, strict=True)}

    def _csv_reader(self, at: dict[str, str], ragged: list[Ragged]) -> Iterator[pa.RecordBatch]:
        def skip(row: Any) -> str:
            ragged.append(Ragged(row.number, row.actual_columns, row.text[:80]))
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
        except pa.ArrowKeyError:
            raise InvalidTable(messages.HEADER_UNREADABLE) from None
        except pa.ArrowException as error:
            if len(ragged) > MAX_RAGGED:
                raise InvalidTable(messages.too_many_ragged(MAX_RAGGED, len(self.names), ragged[0].cells)) from None
            if "straddling" in str(error):
                raise InvalidTable(messages.RECORD_TOO_LONG) from None
            raise InvalidTable(messages.broken_csv(error)) from None

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each record of a CSV, the header first: slow, for mistakes."""
        assert self.delimiter is not None
        with open_text(self.utf8 or self.path) as text:
            for number, record in enumerate(records(text, self.delimiter)):
                if number % RECORDS_AT_ONCE == 0:
                    self.between()
                yield record

    def lines_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """Record number (the header is 1) to the line of a CSV, or the row of a Parquet file."""
        if self.delimiter is None:
            return {record: record - 1 for record in numbers}
        wanted, found = set(numbers), {}
        last = max(wanted, default=0)
        for number, (line, _) in enumerate(self.records() if wanted else (), start=1):
            if number in wanted:
                found[number] = line
            if number >= last:
                break
        return {record: found.get(record, record) for record in numbers}

    def refuse_ragged(self) -> None:
        """Raise InvalidTable where the last reading came upon records of another width than the header."""
        if not self.ragged:
            return
        width, first = len(self.names), self.ragged[:SHOWN_RAGGED]
        lines = self.lines_of([row.record for row in first])
        details: list[Detail] = [
            {"row": lines[row.record], "message": messages.ragged(row.cells, width)} for row in first
        ]
        message = messages.ragged_file(len(self.ragged), width, lines[first[0].record], first[0].cells)
        raise InvalidTable(message, details=details)


def records_of(done: int, rows: int, ragged: Sequence[Ragged]) -> np.ndarray:
    """Record numbers of the rows after `done` ones, around those that were skipped for their width."""
    rows_before = np.arange(done, done + rows, dtype=np.int64)
    if not ragged:
        return rows_before + 2
    skipped = np.array([row.record for row in ragged], dtype=np.int64) - 2 - np.arange(len(ragged))
    return rows_before + 2 + np.searchsorted(skipped, rows_before, side="right")


def _unguarded(column: pa.Array) -> pa.Array:
    """Text without the apostrophes that our own exports put before formulas; of CSV only, which has them."""
    if not pc.any(pc.starts_with(column, MARK)).as_py():
        return column
    return pc.replace_substring_regex(column, GUARDED, r"\1", max_replacements=1)


def read_columns(table: OpenTable, rows: int | None = None) -> FileColumns:
    """Read the first rows (all if None) of a file as columns, without a schema.

    Raises
    ------
    InvalidTable
        Where there are no rows.
    """
    parts: list[dict[str, pa.Array]] = []
    done = 0
    for part in table.batches():
        parts.append(part)
        done += len(next(iter(part.values())))
        if rows is not None and done >= rows:
            break
    if not parts:
        table.refuse_ragged()
        raise InvalidTable(messages.NO_ROWS)
    columns = (pa.concat_arrays([part[name] for part in parts]).slice(0, rows) for name in parts[0])
    return FileColumns(tuple(parts[0]), tuple(columns), table.delimiter, table.notes)

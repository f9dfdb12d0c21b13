"""A customer table file's bytes become named columns, as they stand in the file.

Law: this module knows encodings, delimiters and file formats, and nothing of what a column means.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from shared.errors import Detail, InvalidTable
from shared.spreadsheets import GUARDED, MARK

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SNIFF_CHARACTERS = 200_000
SNIFF_ROWS = 50
SHOWN_RAGGED = 100
EMPTY = "The file is empty: a header line and one line for each customer are needed."
NO_ROWS = "The file has a header and no rows: one line for each customer is needed."
NUL_BYTES = "The file is no text (it holds NUL bytes): save it as a UTF-8 CSV or as Parquet."

#: First bytes of files that people upload in place of a table, and what to do with them.
_OTHER_FILES = {
    b"PK\x03\x04": "is an Excel workbook or a zip archive: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook: save the sheet as CSV",
    b"\x1f\x8b": "is compressed: unpack it first",
    b"SQLite format 3": "is a database: export the table as CSV",
}


@dataclass(frozen=True)
class FileColumns:
    """What stands in a file: text columns of a CSV, typed ones of a Parquet file."""

    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    notes: tuple[str, ...]
    sha256: str
    delimiter: str | None
    """None for Parquet."""
    place: Callable[[int], int]
    """From the index of a row to the number people know it by: the line of a CSV, the row of a Parquet file."""

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    @property
    def place_name(self) -> str:
        """What `place` counts."""
        return "row" if self.delimiter is None else "line"

    def actual(self, name: str) -> str | None:
        """The header meant by `name`: the same text, else the same but for surrounding whitespace."""
        if name in self.names:
            return name
        close = [own for own in self.names if own.strip() == name.strip()]
        if len(close) > 1:
            raise InvalidTable(f"The file has {len(close)} columns called {name.strip()!r}: rename or remove one.")
        return close[0] if close else None

    def column(self, name: str) -> pa.Array:
        """The column with exactly this header."""
        return self.columns[self.names.index(name)]


def read_columns(path: Path | str) -> FileColumns:
    """Read a CSV or Parquet file whole; its first bytes tell which it is.

    Raises
    ------
    InvalidTable
        Where the file is no table: empty, no text, broken off, ragged, or with a header used twice.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InvalidTable(f"There is no file {path}.") from None
    except OSError as error:
        raise InvalidTable(f"The file {path} can't be read: {error.strerror or error}.") from None
    sha256 = hashlib.sha256(data).hexdigest()
    refuse_other_files(data)
    return _parquet(data, sha256) if data.startswith(b"PAR1") else _csv(data, sha256)


def refuse_other_files(begin: bytes) -> None:
    """Raise InvalidTable where the first bytes are those of a workbook, an archive or a database."""
    for magic, advice in _OTHER_FILES.items():
        if begin.startswith(magic):
            raise InvalidTable(f"The file {advice}.")


# Parquet


def _parquet(data: bytes, sha256: str) -> FileColumns:
    try:
        file = pa.parquet.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        refuse_twice(names)
        table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidTable(f"The Parquet file is broken or not whole, upload it again: {error}") from None
    columns = [plain(column.combine_chunks()) for column in table.columns]
    return _checked(names, columns, (), sha256, None, lambda index: index + 1)


def plain(column: pa.Array) -> pa.Array:
    """Encodings of text and of repetition undone; anything else as it is."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or _is_bytes(kind):
        try:
            return column.cast(pa.string())
        except pa.ArrowException:
            return column  # whoever needs the column says that it is no text
    return column


def _is_bytes(kind: Any) -> bool:
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


# CSV


def _csv(data: bytes, sha256: str) -> FileColumns:
    text, notes = _utf8(data)
    if not text.strip():
        raise InvalidTable(EMPTY)
    sample = text[:SNIFF_CHARACTERS].decode("utf-8", errors="ignore")
    delimiter = guess_delimiter(sample)
    if delimiter != ",":
        notes.append(f"The columns are separated by {DELIMITERS[delimiter]}.")
    if not text.endswith((b"\n", b"\r")):
        text += b"\n"  # pyarrow reads no header from a single line without an end
    if text.count(b'"') % 2:
        _refuse_open_quote(text, delimiter)
    table = _parse(text, delimiter, _width(sample, delimiter))
    columns = [_unguarded(plain(column.combine_chunks())) for column in table.columns]
    names = [column[0].as_py() for column in columns]
    refuse_twice(names)
    body = [column.slice(1) for column in columns]
    return _checked(names, body, notes, sha256, delimiter, _places(text, delimiter, table.num_rows))


def _unguarded(column: pa.Array) -> pa.Array:
    """Text without the apostrophes that our own exports put before formulas; of CSV only, which has them."""
    if not pc.any(pc.starts_with(column, MARK)).as_py():
        return column
    return pc.replace_substring_regex(column, GUARDED, r"\1", max_replacements=1)


def _utf8(data: bytes) -> tuple[bytes, list[str]]:
    """The file's text as UTF-8 without a byte order mark, and a note where it was anything else."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text, notes = data.decode("utf-16").encode(), ["The file is encoded in UTF-16."]
        except UnicodeError:
            raise InvalidTable("The file begins as UTF-16 text and is none: save it as UTF-8.") from None
    else:
        text, notes = data.removeprefix(codecs.BOM_UTF8), []
    if b"\0" in text:
        raise InvalidTable(NUL_BYTES)
    try:
        text.decode("utf-8")
        return text, notes
    except UnicodeDecodeError:
        pass
    try:
        return text.decode("cp1252").encode(), ["The file is encoded in Windows-1252, not in UTF-8."]
    except UnicodeDecodeError:
        return text.decode("latin-1").encode(), ["The file is encoded in Latin-1, not in UTF-8."]


def records(text: str, delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each record that is not blank: slow, for the header and for mistakes."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise open_quote(line) from None
        if cells:
            yield line, cells
        line = reader.line_num + 1


def open_quote(line: int) -> InvalidTable:
    """A cell that never ends."""
    return InvalidTable(
        f"The record that begins in line {line} can't be read: a quotation mark is opened and not closed.",
        details=[{"row": line, "message": "a quotation mark is not closed"}],
    )


def _sniffed(sample: str, delimiter: str) -> list[int]:
    """Number of cells of each of the first records, as far as they can be read."""
    widths: list[int] = []
    with suppress(InvalidTable):
        widths.extend(len(cells) for _, cells in islice(records(sample, delimiter), SNIFF_ROWS))
    return widths


def guess_delimiter(sample: str) -> str:
    """The delimiter that cuts most of the first records into as many cells as the header has."""

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = _sniffed(sample, delimiter)
        return (widths.count(widths[0]), widths[0]) if widths and widths[0] > 1 else (0, 0)

    return max(DELIMITERS, key=agreement)


def _width(sample: str, delimiter: str) -> int:
    return max(_sniffed(sample, delimiter)[:1], default=1)


def _refuse_open_quote(text: bytes, delimiter: str) -> None:
    """An odd count of quotation marks may be an inch sign, or a cell that swallows the rest of the file."""
    for _ in records(text.decode(), delimiter, strict=True):
        pass


def _parse(text: bytes, delimiter: str, width: int) -> pa.Table:
    """All cells as text, the header as the first row: the header may be anything, even the same name twice."""
    ragged = []

    def skip(row: Any) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text),
            # one block: a record of any length fits, and a quoted line break is never at a block's edge
            read_options=pa.csv.ReadOptions(autogenerate_column_names=True, block_size=min(len(text) + 1, 2**31 - 1)),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pa.csv.ConvertOptions(
                column_types={f"f{i}": pa.string() for i in range(width)}, strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowException as error:
        raise InvalidTable(f"The file can't be read as CSV: {error}") from None
    if ragged:
        raise _ragged(text, delimiter, table.num_columns)
    if table.num_columns != width:
        raise InvalidTable("The header line can't be read: check its quotation marks.")
    return table


def _ragged(text: bytes, delimiter: str, width: int) -> InvalidTable:
    wrong = [(line, len(cells)) for line, cells in records(text.decode(), delimiter) if len(cells) != width]
    details: list[Detail] = [
        {"row": line, "message": f"{count} cells where the header has {width}"} for line, count in wrong[:SHOWN_RAGGED]
    ]
    where = f"line {wrong[0][0]} has {wrong[0][1]}" if wrong else "some have more or fewer"
    return InvalidTable(
        f"Every line needs as many cells as the header, {width}, and {where} ({max(len(wrong), 1)} such in all): "
        "put text that holds the delimiter in quotation marks.",
        details=details,
    )


def _places(text: bytes, delimiter: str, count: int) -> Callable[[int], int]:
    """Line numbers by row: counting on from the header unless blank lines or line breaks in cells are in the way."""
    if (text.count(b"\n") or text.count(b"\r")) == count:
        return lambda index: index + 2

    @cache
    def lines() -> list[int]:
        return [line for line, _ in records(text.decode(), delimiter)]

    return lambda index: lines()[index + 1] if index + 1 < len(lines()) else index + 2


# Both


def refuse_twice(names: Sequence[str]) -> None:
    """Raise InvalidTable where two columns have the same header."""
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise InvalidTable(
            f"The header has {twice[0]!r} more than once: rename or remove one.",
            details=[{"field": name, "message": "this header is used more than once"} for name in twice],
        )


def _checked(
    names: list[str], columns: list[Any], notes: Any, sha256: str, delimiter: str | None, place: Callable[[int], int]
) -> FileColumns:
    require_rows(names, len(columns[0]) if columns else 0)
    named = {name: column for name, column in zip(names, columns, strict=True) if name.strip()}
    return FileColumns(tuple(named), tuple(named.values()), (*notes, *unnamed(names)), sha256, delimiter, place)


def require_rows(names: Sequence[str], rows: int) -> None:
    """Raise InvalidTable where a file has no rows, or no column with a name."""
    if not names or not rows:
        raise InvalidTable(NO_ROWS)
    if not any(name.strip() for name in names):
        raise InvalidTable("No column has a name: the first line must be the header.")


def unnamed(names: Sequence[str]) -> tuple[str, ...]:
    """A note about columns without a name, if there are any."""
    without = sum(not name.strip() for name in names)
    return (f"Columns without a name are left out: {without}.",) if without else ()

"""A CSV file's bytes become columns of text: encoding, delimiter, header, and the line each record begins in.

Law: every cell stays text; a record that can't be read is refused with the line it begins in, never dropped.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.errors import Detail, InvalidTable
from shared.tables.columns import FileColumns, checked, plain, refuse_twice, refuse_wide
from shared.tables.formula_guard import GUARDED, MARK

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SNIFF_CHARACTERS = 200_000
SNIFF_ROWS = 50
HEADER_BYTES = 4 * 1024 * 1024
SHOWN_RAGGED = 100
EMPTY = "The file is empty: a header line and one line for each customer are needed."
NUL_BYTES = "The file is no text (it holds NUL bytes): save it as a UTF-8 CSV or as Parquet."


def read_csv(data: bytes, sha256: str, *, most_columns: int) -> FileColumns:
    """The columns of a CSV file's bytes.

    Raises
    ------
    InvalidTable
        Where it is no text, ragged, or has a header used twice.
    """
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
    refuse_wide(width := _width(text, delimiter), most_columns)
    table = _parse(text, delimiter, width)
    columns = [unguarded(plain(column.combine_chunks())) for column in table.columns]
    names = [column[0].as_py() for column in columns]
    refuse_twice(names)
    body = [column.slice(1) for column in columns]
    return checked(names, body, notes, sha256, delimiter, _places(text, delimiter, table.num_rows))


def unguarded(column: pa.Array) -> pa.Array:
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


def _width(text: bytes, delimiter: str) -> int:
    """Columns of the header, which may be longer than the sample."""
    begin = text[:SNIFF_CHARACTERS]
    if b"\n" not in begin and b"\r" not in begin:
        begin = text[:HEADER_BYTES]
    return max(_sniffed(begin.decode("utf-8", errors="ignore"), delimiter)[:1], default=1)


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

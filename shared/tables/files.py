"""A customer table file is read whole: its bytes tell what it is, and become named columns as they stand in it.

Law: this module knows file formats, and nothing of what a column means.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from shared.errors import InvalidTable
from shared.parsing_limits import MAX_FILE_COLUMNS, MAX_FOOTER_BYTES
from shared.tables.columns import FileColumns, checked, plain, refuse_twice, refuse_wide
from shared.tables.csv import read_csv

#: A file of more rows is imported in parts: what is remembered of each row would no longer fit beside the services.
MAX_ROWS = 10_000_000
MAX_CHUNK_BYTES = 256 * 1024**2
TOO_MANY_ROWS = f"The file has more than {MAX_ROWS:,} rows: split it."
FOOTER_TOO_LARGE = (
    f"The metadata of the Parquet file are larger than {MAX_FOOTER_BYTES // 1024**2} MB: write it in larger row groups."
)
TOO_BIG_INSIDE = (
    "The texts of a row group of the Parquet file unpack to more than 256 MB: write it in smaller row groups."
)
LISTS = "Column {name} of the Parquet file holds lists, and a table has one value in each cell: write it without them."

#: First bytes of files that people upload in place of a table, and what to do with them.
_OTHER_FILES = {
    b"PK\x03\x04": "is an Excel workbook or a zip archive: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook: save the sheet as CSV",
    b"\x1f\x8b": "is compressed: unpack it first",
    b"SQLite format 3": "is a database: export the table as CSV",
}


def read_columns(path: Path | str, *, most_columns: int = MAX_FILE_COLUMNS) -> FileColumns:
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
    if data.startswith(b"PAR1"):
        return _parquet(data, sha256, most_columns)
    return read_csv(data, sha256, most_columns=most_columns)


def refuse_other_files(begin: bytes) -> None:
    """Raise InvalidTable where the first bytes are those of a workbook, an archive or a database."""
    for magic, advice in _OTHER_FILES.items():
        if begin.startswith(magic):
            raise InvalidTable(f"The file {advice}.")


def refuse_bomb(about: Any) -> None:
    """Raise InvalidTable where the metadata of a Parquet file tell of more than fits into memory piece by piece.

    A few kilobytes can hold a thousand million repeated values, or unpack to gigabytes.
    """
    refuse_wide(about.num_columns)
    if about.num_rows > MAX_ROWS:
        raise InvalidTable(TOO_MANY_ROWS)
    for column in map(about.schema.column, range(about.num_columns)):
        if column.max_repetition_level:
            raise InvalidTable(LISTS.format(name=column.path))
    # The group's own sum: asking pyarrow for a column's metadata ends the process where they are damaged.
    for group in map(about.row_group, range(about.num_row_groups)):
        if group.total_byte_size > MAX_CHUNK_BYTES + 8 * group.num_rows * about.num_columns:
            raise InvalidTable(TOO_BIG_INSIDE)


def refuse_large_footer(end: bytes) -> None:
    """Raise InvalidTable where the last eight bytes of a Parquet file tell of more metadata than any table has."""
    if end[4:] == b"PAR1" and int.from_bytes(end[:4], "little") > MAX_FOOTER_BYTES:
        raise InvalidTable(FOOTER_TOO_LARGE)


def end_of(path: Path) -> bytes:
    """The last eight bytes of a file."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 8, 0))
        return file.read(8)


def parquet_file(source: Any) -> pa.parquet.ParquetFile:
    """Open a Parquet file whose texts stay as it has them packed, so that what they unpack to can be counted first.

    Raises
    ------
    InvalidTable
        As `refuse_bomb`.
    """
    file = pa.parquet.ParquetFile(source)
    refuse_bomb(file.metadata)
    schema = file.schema_arrow
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
    return pa.parquet.ParquetFile(source, read_dictionary=texts, metadata=file.metadata) if texts else file


def unpacked_bytes(path: Path) -> int:
    """About how much a file holds: its size, or eight bytes for each cell of a Parquet file if that is more."""
    size = path.stat().st_size
    refuse_large_footer(end_of(path))
    try:
        about = pa.parquet.read_metadata(path)
    except (pa.ArrowException, OSError):
        return size  # no Parquet file, or a broken one: whoever reads it says so
    return max(size, 8 * about.num_rows * about.num_columns)


def _parquet(data: bytes, sha256: str, most_columns: int) -> FileColumns:
    refuse_large_footer(data[-8:])
    try:
        with parquet_file(pa.BufferReader(data)) as file:
            names = file.schema_arrow.names
            refuse_wide(len(names), most_columns)
            refuse_twice(names)
            table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidTable(f"The Parquet file is broken or not whole, upload it again: {error}") from None
    columns = [plain(column) for column in table.columns]
    return checked(names, columns, (), sha256, None, lambda index: index + 1)

"""A customer table file is read whole: its bytes tell what it is, and become named columns as they stand in it.

Law: this module knows file formats, and nothing of what a column means.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from shared.errors import InvalidTable
from shared.table_columns import FileColumns, checked, plain, refuse_twice
from shared.table_csv import read_csv

#: First bytes of files that people upload in place of a table, and what to do with them.
_OTHER_FILES = {
    b"PK\x03\x04": "is an Excel workbook or a zip archive: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook: save the sheet as CSV",
    b"\x1f\x8b": "is compressed: unpack it first",
    b"SQLite format 3": "is a database: export the table as CSV",
}


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
    return _parquet(data, sha256) if data.startswith(b"PAR1") else read_csv(data, sha256)


def refuse_other_files(begin: bytes) -> None:
    """Raise InvalidTable where the first bytes are those of a workbook, an archive or a database."""
    for magic, advice in _OTHER_FILES.items():
        if begin.startswith(magic):
            raise InvalidTable(f"The file {advice}.")


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
    return checked(names, columns, (), sha256, None, lambda index: index + 1)

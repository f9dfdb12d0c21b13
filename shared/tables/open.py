"""A customer table file is recognised and opened for reading batch by batch, in memory that does not grow with it.

Law: what is recognised here (encoding, delimiter, header) is what `shared.tables.files` recognises in a file read
whole.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from shared.errors import DiskFull, InvalidTable, is_disk_full
from shared.parsing_limits import MAX_COLUMNS
from shared.tables import csv as table_csv
from shared.tables.columns import NO_ROWS, FileColumns, refuse_twice, refuse_wide, require_rows, unnamed
from shared.tables.files import end_of, refuse_bomb, refuse_large_footer, refuse_other_files
from shared.tables.formula_guard import unguard_cell
from shared.tables.open_table import BLOCK_BYTES, MAX_RECORD_BYTES, OpenTable


def open_table(path: Path | str, *, folder: Path | None = None) -> OpenTable:
    """Recognise a CSV or Parquet file by its bytes.

    Parameters
    ----------
    folder
        Where a copy in UTF-8 may be written if the file is in another encoding; beside the file if absent.

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
            refuse_other_files(begin)
            if begin.startswith(b"PAR1"):
                return _open_parquet(path)
            return _open_csv(path, folder or path.parent)
    except FileNotFoundError:
        raise InvalidTable(f"There is no file {path}.") from None
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull from None
        raise InvalidTable(f"The file {path.name} can't be read: {error.strerror or error}.") from None


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _open_parquet(path: Path) -> OpenTable:
    digest, size = hashlib.sha256(), 0
    for block in _blocks(path):
        digest.update(block)
        size += len(block)
    refuse_large_footer(end_of(path))
    try:
        with pa.parquet.ParquetFile(path) as file:
            names, about = file.schema_arrow.names, file.metadata
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidTable(f"The Parquet file is broken or not whole, upload it again: {error}") from None
    refuse_bomb(about)
    refuse_twice(names)
    require_rows(names, about.num_rows)
    return OpenTable(path, tuple(names), digest.hexdigest(), size, unnamed(names), None, None)


@dataclass
class _Bytes:
    """What one pass over the bytes of a text file tells."""

    sha256: str
    size: int
    encoding: str
    feeds: int
    returns: int
    pairs: int
    quotes: int


def _look(path: Path) -> _Bytes:
    digest, size, feeds, returns, pairs, quotes = hashlib.sha256(), 0, 0, 0, 0, 0
    utf8: Any = codecs.getincrementaldecoder("utf-8")()
    encoding, last = "UTF-8", b""
    for block in _blocks(path):
        if not size and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding, utf8 = "UTF-16", None
        digest.update(block)
        size += len(block)
        if encoding != "UTF-16" and b"\0" in block:
            raise InvalidTable(table_csv.NUL_BYTES)
        feeds, returns = feeds + block.count(b"\n"), returns + block.count(b"\r")
        pairs += block.count(b"\r\n") + (last == b"\r" and block[:1] == b"\n")
        quotes, last = quotes + block.count(b'"'), block[-1:]
        if utf8 is not None:
            try:
                utf8.decode(block)
            except UnicodeDecodeError:
                encoding, utf8 = "Windows-1252", None
    with suppress(UnicodeDecodeError):
        if utf8 is not None:
            utf8.decode(b"", final=True)
            utf8 = None
    if utf8 is not None:
        encoding = "Windows-1252"  # broken off within a character
    return _Bytes(digest.hexdigest(), size, encoding, feeds, returns, pairs, quotes)


def _open_csv(path: Path, folder: Path) -> OpenTable:
    found = _look(path)
    notes: list[str] = []
    utf8: Path | None = None
    try:
        if found.encoding != "UTF-8":
            found.encoding, utf8 = _transcoded(path, folder, found.encoding)
            notes.append(f"The file is encoded in {found.encoding}, not in UTF-8.")
        delimiter, names = _header(utf8 or path)
    except BaseException:
        if utf8 is not None:
            utf8.unlink(missing_ok=True)
        raise
    if delimiter != ",":
        notes.append(f"The columns are separated by {table_csv.DELIMITERS[delimiter]}.")
    if found.pairs and (found.feeds > found.pairs or found.returns > found.pairs):
        notes.append("The file mixes kinds of line ends; each ends a line.")
    table = OpenTable(
        path, names, found.sha256, found.size, (*notes, *unnamed(names)), found.encoding, delimiter, found.feeds,
        utf8=utf8,
    )  # fmt: skip
    if found.quotes % 2:
        _refuse_open_quote(table)
    return table


def _transcoded(path: Path, folder: Path, encoding: str) -> tuple[str, Path]:
    """Write the text as UTF-8 beside; return the encoding that fits, and where."""
    tries = {"UTF-16": ("utf-16",), "Windows-1252": ("cp1252", "latin-1")}[encoding]
    names = {"utf-16": "UTF-16", "cp1252": "Windows-1252", "latin-1": "Latin-1"}
    with tempfile.NamedTemporaryFile(dir=folder, prefix="utf8-", suffix=".csv", delete=False) as made:
        out = Path(made.name)
    for codec in tries:
        try:
            with path.open(encoding=codec, newline="") as text, out.open("w", encoding="utf-8", newline="") as to:
                while part := text.read(BLOCK_BYTES):
                    if "\0" in part:
                        raise InvalidTable(table_csv.NUL_BYTES)
                    to.write(part)
        except UnicodeError:
            continue
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        return names[codec], out
    out.unlink(missing_ok=True)
    raise InvalidTable("The file begins as UTF-16 text and is none: save it as UTF-8.")


def _header(path: Path) -> tuple[str, tuple[str, ...]]:
    with path.open("rb") as file:
        begin = file.read(MAX_RECORD_BYTES).removeprefix(codecs.BOM_UTF8)
    if not begin.strip():
        raise InvalidTable(table_csv.EMPTY)
    text = begin.decode("utf-8", errors="ignore")
    delimiter = table_csv.guess_delimiter(text[: table_csv.SNIFF_CHARACTERS])
    with_header = list(islice(table_csv.records(text, delimiter), 2))
    refuse_wide(len(with_header[0][1]))
    names = [unguard_cell(name) for name in with_header[0][1]]
    refuse_twice(names)
    require_rows(names, len(with_header) - 1)
    return delimiter, tuple(names)


def _refuse_open_quote(table: OpenTable) -> None:
    """An odd count of quotation marks may be an inch sign, or a cell that swallows the rest of the file."""
    inside, line = False, 1
    with table.text() as text:
        reader = csv.reader(text, delimiter=table.delimiter or ",", strict=True)
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error:
            inside = True
    if inside:
        raise table_csv.open_quote(line)


def read_first(path: Path | str, rows: int, place: Callable[[int], int] | None = None) -> FileColumns:
    """The first rows of a file as columns, for proposals and previews.

    Raises
    ------
    InvalidTable
        As `open_table`.
    """
    table = open_table(path)
    try:
        refuse_wide(len(table.names), MAX_COLUMNS)
        parts: list[dict[str, pa.Array]] = []
        for batch in table.batches():
            parts.append(batch)
            if sum(len(next(iter(part.values()))) for part in parts) >= rows:
                break
        if not parts:
            raise InvalidTable(NO_ROWS)
        columns = [pa.concat_arrays([part[name] for part in parts]).slice(0, rows) for name in parts[0]]
        named = tuple(parts[0])
        return FileColumns(
            named, tuple(columns), table.notes, table.sha256, table.delimiter, place or (lambda index: index + 2)
        )
    finally:
        table.close()

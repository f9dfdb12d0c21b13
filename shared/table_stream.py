"""A customer table file opened for reading batch by batch, in memory that does not grow with the file.

Law: what is recognised here (encoding, delimiter, header) is what `table_files` recognises in a file read whole.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from shared import table_files as files
from shared.errors import InvalidTable

BLOCK_BYTES = 4 * 1024 * 1024
BATCH_ROWS = 32_768
#: A record (a line, or several where a quoted cell holds line breaks) longer than this is no customer.
MAX_RECORD_BYTES = BLOCK_BYTES
MAX_GROUP_BYTES = 2 * 1024**3
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
    _utf8: Path | None = None

    @property
    def place_name(self) -> str:
        """What people count: lines of a CSV, rows of a Parquet file."""
        return "row" if self.delimiter is None else "line"

    def close(self) -> None:
        """Remove the UTF-8 copy, where one had to be made."""
        if self._utf8 is not None:
            self._utf8.unlink(missing_ok=True)

    def batches(self, wanted: Sequence[str] | None = None) -> Iterator[dict[str, pa.Array]]:
        """The rows in the file's order, the wanted columns (headers as in `names`; all if None).

        Raises
        ------
        InvalidTable
            Where the file breaks off or can't be parsed.
        """
        self.ragged = []  # a reading that is under way keeps its own list
        chosen = [n for n in self.names if n.strip() and (wanted is None or n in wanted)]
        return self._parquet_batches(chosen) if self.delimiter is None else self._csv_batches(chosen, self.ragged)

    def _parquet_batches(self, chosen: list[str]) -> Iterator[dict[str, pa.Array]]:
        try:
            with pa.parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=chosen, use_threads=False):
                    batch.validate(full=True)
                    yield {n: files.plain(c) for n, c in zip(batch.schema.names, batch.columns, strict=True)}
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InvalidTable(f"The Parquet file is broken or not whole, upload it again: {error}") from None

    def _csv_batches(self, chosen: list[str], ragged: list[Bad]) -> Iterator[dict[str, pa.Array]]:
        at = {f"f{self.names.index(name)}": name for name in chosen}
        first = True
        for batch in self._csv_reader(at, ragged):
            part = batch.slice(1) if first else batch
            first = False
            if part.num_rows:
                yield {at[n]: c for n, c in zip(part.schema.names, part.columns, strict=True)}

    def _csv_reader(self, at: dict[str, str], ragged: list[Bad]) -> Iterator[pa.RecordBatch]:
        def skip(row: Any) -> str:
            ragged.append((row.number, row.actual_columns, row.text))
            return "skip"

        try:
            yield from pa.csv.open_csv(
                self._utf8 or self.path,
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
            if "straddling" in str(error):
                raise InvalidTable(TOO_LONG) from None
            raise InvalidTable(f"The file can't be read as CSV: {error}") from None

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each record of a CSV, the header first: slow, for mistakes."""
        assert self.delimiter is not None
        csv.field_size_limit(MAX_RECORD_BYTES)
        with (self._utf8 or self.path).open(encoding="utf-8-sig", errors="replace", newline="") as text:
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
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            begin = file.read(64)
            files.refuse_other_files(begin)
            if begin.startswith(b"PAR1"):
                return _open_parquet(path)
            return _open_csv(path, folder or path.parent)
    except FileNotFoundError:
        raise InvalidTable(f"There is no file {path}.") from None
    except OSError as error:
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
    try:
        with pa.parquet.ParquetFile(path) as file:
            names, about = file.schema_arrow.names, file.metadata
            biggest = max((about.row_group(k).total_byte_size for k in range(about.num_row_groups)), default=0)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidTable(f"The Parquet file is broken or not whole, upload it again: {error}") from None
    if biggest > MAX_GROUP_BYTES:
        raise InvalidTable("A row group of the Parquet file unpacks to more than 2 GB: write it in smaller row groups.")
    files.refuse_twice(names)
    files.require_rows(names, about.num_rows)
    return OpenTable(path, tuple(names), digest.hexdigest(), size, files.unnamed(names), None, None)


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
    encoding, last, holes = "UTF-8", b"", False
    for block in _blocks(path):
        if not size and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding, utf8 = "UTF-16", None
        digest.update(block)
        size += len(block)
        holes = holes or (encoding != "UTF-16" and b"\0" in block)
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
    if holes:
        raise InvalidTable(files.NUL_BYTES)
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
        notes.append(f"The columns are separated by {files.DELIMITERS[delimiter]}.")
    if found.pairs and (found.feeds > found.pairs or found.returns > found.pairs):
        notes.append("The file mixes kinds of line ends; each ends a line.")
    table = OpenTable(
        path, names, found.sha256, found.size, (*notes, *files.unnamed(names)), found.encoding, delimiter, found.feeds,
        _utf8=utf8,
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
                        raise InvalidTable(files.NUL_BYTES)
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
        raise InvalidTable(files.EMPTY)
    text = begin.decode("utf-8", errors="ignore")
    delimiter = files.guess_delimiter(text[: files.SNIFF_CHARACTERS])
    with_header = list(islice(files.records(text, delimiter), 2))
    names = with_header[0][1]
    files.refuse_twice(names)
    files.require_rows(names, len(with_header) - 1)
    return delimiter, tuple(names)


def _refuse_open_quote(table: OpenTable) -> None:
    """An odd count of quotation marks may be an inch sign, or a cell that swallows the rest of the file."""
    inside, line = False, 1
    with (table._utf8 or table.path).open(encoding="utf-8-sig", errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=table.delimiter or ",", strict=True)
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error:
            inside = True
    if inside:
        raise files.open_quote(line)


def read_first(path: Path | str, rows: int, place: Callable[[int], int] | None = None) -> files.FileColumns:
    """The first rows of a file as columns, for proposals and previews.

    Raises
    ------
    InvalidTable
        As `open_table`.
    """
    table = open_table(path)
    try:
        parts: list[dict[str, pa.Array]] = []
        for batch in table.batches():
            parts.append(batch)
            if sum(len(next(iter(part.values()))) for part in parts) >= rows:
                break
        if not parts:
            raise InvalidTable(files.NO_ROWS)
        columns = [pa.concat_arrays([part[name] for part in parts]).slice(0, rows) for name in parts[0]]
        named = tuple(parts[0])
        return files.FileColumns(
            named, tuple(columns), table.notes, table.sha256, table.delimiter, place or (lambda index: index + 2)
        )
    finally:
        table.close()

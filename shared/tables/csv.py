"""A CSV file is recognised from its bytes: encoding, delimiter, header, line ends and quotation marks.

Law: memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from shared.errors import InvalidTable
from shared.tables import file_notes, messages
from shared.tables.columns import Between, FileFormat, nothing, refuse_twice, refuse_wide, require_rows
from shared.tables.formula_guard import unguard_cell

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEP_LINES = frozenset(f"sep={delimiter}".encode() for delimiter in DELIMITERS)
SNIFF_CHARACTERS = 200_000
SNIFF_ROWS = 50
BLOCK_BYTES = 4 * 1024 * 1024
#: A record (a line, or several where a quoted cell holds line breaks) longer than this is no customer.
MAX_RECORD_BYTES = BLOCK_BYTES
_CODECS = {"UTF-16": ("utf-16",), "Windows-1252": ("cp1252", "latin-1")}
_CODEC_NAMES = {"utf-16": "UTF-16", "cp1252": "Windows-1252", "latin-1": "Latin-1"}


@dataclass
class _Bytes:
    """Counts from one pass over the bytes of a text file."""

    sha256: str = ""
    size: int = 0
    encoding: str = "UTF-8"
    feeds: int = 0
    returns: int = 0
    pairs: int = 0
    quotes: int = 0


def recognise_csv(path: Path, folder: Path | None, between: Between = nothing) -> FileFormat:
    """Recognise a CSV file; a copy in UTF-8 goes to `folder`, or to the system's folder for temporary files.

    Raises
    ------
    InvalidTable
        Where the file is empty, no text, too wide, or has a header used twice or a quotation mark left open.
    """
    counts = _count_bytes(path, between)
    encoding, utf8, notes = counts.encoding, None, []
    if encoding != "UTF-8":
        encoding, utf8 = _transcode(path, folder, encoding, between)
        notes.append(file_notes.other_encoding(encoding))
    try:
        delimiter, names = _header(utf8 or path)
        if delimiter != ",":
            notes.append(file_notes.other_delimiter(DELIMITERS[delimiter]))
        if counts.pairs and (counts.feeds > counts.pairs or counts.returns > counts.pairs):
            notes.append(file_notes.MIXED_LINE_ENDS)
        if counts.quotes % 2:
            _refuse_open_quote(utf8 or path, delimiter, between)
    except BaseException:
        if utf8 is not None:
            utf8.unlink(missing_ok=True)
        raise
    size = counts.size
    return FileFormat(path, names, counts.sha256, size, size, tuple(notes), encoding, delimiter, utf8)


def blocks(path: Path, between: Between = nothing) -> Iterator[bytes]:
    """The bytes of a file, block by block."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            between()
            yield block


def _count_bytes(path: Path, between: Between) -> _Bytes:
    counts, digest, last = _Bytes(), hashlib.sha256(), b""
    utf8: Any = codecs.getincrementaldecoder("utf-8")()
    for block in blocks(path, between):
        if not counts.size and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            counts.encoding, utf8 = "UTF-16", None
        digest.update(block)
        counts.size += len(block)
        if counts.encoding != "UTF-16" and b"\0" in block:
            raise InvalidTable(messages.NUL_BYTES)
        counts.feeds += block.count(b"\n")
        counts.returns += block.count(b"\r")
        counts.pairs += block.count(b"\r\n") + (last == b"\r" and block[:1] == b"\n")
        counts.quotes, last = counts.quotes + block.count(b'"'), block[-1:]
        if utf8 is not None and not _decodes(utf8, block):
            counts.encoding, utf8 = "Windows-1252", None
    if utf8 is not None and not _decodes(utf8, b"", final=True):  # broken off within a character
        counts.encoding = "Windows-1252"
    counts.sha256 = digest.hexdigest()
    return counts


def _decodes(decoder: Any, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _transcode(path: Path, folder: Path | None, encoding: str, between: Between) -> tuple[str, Path]:
    """Copy the text in UTF-8; return the encoding that fits, and where the copy is."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="utf8-", suffix=".csv", delete=False) as made:
        out = Path(made.name)
    try:
        for codec in _CODECS[encoding]:
            with suppress(UnicodeError):
                _copy_as_utf8(path, codec, out, between)
                return _CODEC_NAMES[codec], out
        raise InvalidTable(messages.NOT_UTF_16)
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _copy_as_utf8(path: Path, codec: str, out: Path, between: Between) -> None:
    with path.open(encoding=codec, newline="") as text, out.open("w", encoding="utf-8", newline="") as to:
        while part := text.read(BLOCK_BYTES):
            between()
            if "\0" in part:
                raise InvalidTable(messages.NUL_BYTES)
            to.write(part)


def _header(path: Path) -> tuple[str, tuple[str, ...]]:
    with path.open("rb") as file:
        begin = file.read(MAX_RECORD_BYTES).removeprefix(codecs.BOM_UTF8)
    if not begin.strip():
        raise InvalidTable(messages.EMPTY)
    if begin[:5].lower() in _SEP_LINES and begin[5:6] in (b"\r", b"\n"):
        raise InvalidTable(messages.SEP_LINE)
    text = begin.decode("utf-8", errors="ignore")
    delimiter = guess_delimiter(text[:SNIFF_CHARACTERS])
    first = list(islice(records(io.StringIO(text, newline=""), delimiter), 2))
    refuse_wide(len(first[0][1]))
    names = [unguard_cell(name) for name in first[0][1]]
    refuse_twice(names)
    require_rows(names, len(first) - 1)
    return delimiter, tuple(names)


def guess_delimiter(sample: str) -> str:
    """The delimiter that cuts most of the first records into as many cells as the header has."""

    def agreement(delimiter: str) -> tuple[int, int]:
        widths: list[int] = []
        with suppress(InvalidTable):
            found = islice(records(io.StringIO(sample, newline=""), delimiter), SNIFF_ROWS)
            widths.extend(len(cells) for _, cells in found)
        return (widths.count(widths[0]), widths[0]) if widths and widths[0] > 1 else (0, 0)

    return max(DELIMITERS, key=agreement)


def records(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each record that is not blank: slow, for the header and for mistakes.

    Raises
    ------
    InvalidTable
        Where a record is longer than 4 MB, or, if `strict`, where a quotation mark is opened and not closed.
    """
    csv.field_size_limit(MAX_RECORD_BYTES)
    reader = csv.reader(lines, delimiter=delimiter, strict=strict)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        if not strict or "field limit" in str(error):
            raise InvalidTable(messages.RECORD_TOO_LONG) from None
        details: Any = [{"row": line, "message": messages.OPEN_QUOTE}]
        raise InvalidTable(messages.open_quote(line), details=details) from None


def open_text(path: Path) -> TextIO:
    """The text of a CSV file in UTF-8."""
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _refuse_open_quote(path: Path, delimiter: str, between: Between) -> None:
    """An odd count of quotation marks may be an inch sign, or a cell that swallows the rest of the file."""
    with open_text(path) as text:
        for number, _ in enumerate(records(text, delimiter, strict=True)):
            if number % 10_000 == 0:
                between()

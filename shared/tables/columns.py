"""Named columns of a file in any format, and the checks of headers and rows that every file has to pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import Detail, InvalidTable
from shared.parsing_limits import MAX_COLUMNS
from shared.tables import file_notes, messages

Between = Callable[[], None]

#: A file of more rows is imported in parts: what is remembered of each row would no longer fit beside the services.
MAX_ROWS = 10_000_000
#: Text of one column in one batch, unpacked.
MAX_TEXT_BYTES = 256 * 1024**2


def nothing() -> None:
    """Between two pieces of a file that nobody wants to leave."""


@dataclass
class FileFormat:
    """Properties of a file, recognised from its bytes.

    Attributes
    ----------
    names
        The header, as it stands in the file.
    unpacked
        About how many bytes the file holds once it is read.
    encoding, delimiter
        None for Parquet.
    utf8
        A copy in UTF-8, where the file is in another encoding.
    between
        Called between the pieces in which the file is read; whatever it raises ends the reading.
    """

    path: Path
    names: tuple[str, ...]
    sha256: str
    size: int
    unpacked: int
    notes: tuple[str, ...] = ()
    encoding: str | None = None
    delimiter: str | None = None
    utf8: Path | None = None
    between: Between = nothing


@dataclass(frozen=True)
class FileColumns:
    """Columns of a file, or of a batch of it: texts of a CSV, typed columns of a Parquet file.

    Attributes
    ----------
    delimiter
        None for Parquet.
    """

    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    delimiter: str | None
    notes: tuple[str, ...] = ()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def _stripped(self) -> dict[str, list[str]]:
        close: dict[str, list[str]] = {}
        for own in self.names:
            close.setdefault(own.strip(), []).append(own)
        return close

    def actual(self, name: str) -> str | None:
        """The header meant by `name`: the same text, else the same but for surrounding whitespace."""
        if name in self._places:
            return name
        close = self._stripped.get(name.strip(), [])
        if len(close) > 1:
            raise InvalidTable(messages.ambiguous_header(name.strip(), len(close)))
        return close[0] if close else None

    def column(self, name: str) -> pa.Array:
        """The column with exactly this header."""
        return self.columns[self._places[name]]


def plain(column: pa.Array) -> pa.Array:
    """Encodings of text and of repetition undone; anything else as it is.

    Raises
    ------
    InvalidTable
        Where texts that are stored once and repeated unpack to more than fits into memory.
    """
    if pa.types.is_dictionary(column.type):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        _refuse_long_text(chunks)
        column = pa.chunked_array([chunk.dictionary.take(chunk.indices) for chunk in chunks], column.type.value_type)
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or _is_bytes(kind):
        try:
            return column.cast(pa.string())
        except pa.ArrowException:
            return column  # a column that is needed is refused for its type
    return column


def _refuse_long_text(chunks: Sequence[Any]) -> None:
    total = 0
    for chunk in chunks:
        if not _has_length(chunk.dictionary.type):
            return
        lengths = pc.binary_length(chunk.dictionary)
        total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if total > MAX_TEXT_BYTES:
        raise InvalidTable(messages.TOO_MUCH_TEXT)


def _has_length(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_bytes(kind)


def _is_bytes(kind: Any) -> bool:
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def refuse_wide(columns: int) -> None:
    """Raise InvalidTable where a file has more columns than can be read."""
    if columns > MAX_COLUMNS:
        raise InvalidTable(messages.too_many_columns(columns, MAX_COLUMNS))


def refuse_twice(names: Sequence[str]) -> None:
    """Raise InvalidTable where two columns have the same header."""
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        details: list[Detail] = [{"field": name, "message": messages.HEADER_USED_TWICE} for name in twice]
        raise InvalidTable(messages.header_twice(twice[0]), details=details)


def refuse_columns(wrong: Iterable[tuple[str, str]]) -> None:
    """Raise InvalidTable where columns, each given with the reason, can't be used in any row."""
    details: list[Detail] = [{"field": name, "message": message} for name, message in wrong]
    if details:
        raise InvalidTable(messages.wrong_columns(details), details=details)


def require_rows(names: Sequence[str], rows: int) -> None:
    """Raise InvalidTable where a file has no rows, or no column with a name."""
    if not names or not rows:
        raise InvalidTable(messages.NO_ROWS)
    if not any(name.strip() for name in names):
        raise InvalidTable(messages.NO_NAMES)


def unnamed(names: Sequence[str]) -> tuple[str, ...]:
    """A note about columns without a name, if there are any."""
    without = sum(not name.strip() for name in names)
    return (file_notes.unnamed_columns(without),) if without else ()

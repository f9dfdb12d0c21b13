"""Named columns as they stand in a file, whatever its format, and what any file of columns must have.

Law: this module knows headers and rows, and nothing of bytes, nor of what a column means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import InvalidTable
from shared.parsing_limits import MAX_FILE_COLUMNS

#: Text of one column in one batch, unpacked.
MAX_TEXT_BYTES = 256 * 1024**2
TOO_MUCH_TEXT = "A text column of the Parquet file unpacks to more than 256 MB at once: its cells are too long."
NO_ROWS = "The file has a header and no rows: one line for each customer is needed."


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
            return column  # whoever needs the column says that it is no text
    return column


def _refuse_long_text(chunks: Sequence[Any]) -> None:
    total = 0
    for chunk in chunks:
        if not _has_length(chunk.dictionary.type):
            return
        lengths = pc.binary_length(chunk.dictionary)
        total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if total > MAX_TEXT_BYTES:
        raise InvalidTable(TOO_MUCH_TEXT)


def _has_length(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_bytes(kind)


def _is_bytes(kind: Any) -> bool:
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def refuse_wide(columns: int, most: int = MAX_FILE_COLUMNS) -> None:
    """Raise InvalidTable where a file has more columns than anybody looks at."""
    if columns > most:
        raise InvalidTable(f"The file has {columns:,} columns, and at most {most:,} can be read: leave columns out.")


def refuse_twice(names: Sequence[str]) -> None:
    """Raise InvalidTable where two columns have the same header."""
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise InvalidTable(
            f"The header has {twice[0]!r} more than once: rename or remove one.",
            details=[{"field": name, "message": "this header is used more than once"} for name in twice],
        )


def checked(
    names: list[str], columns: list[Any], notes: Any, sha256: str, delimiter: str | None, place: Callable[[int], int]
) -> FileColumns:
    """The columns that have a name, of a file that has rows.

    Raises
    ------
    InvalidTable
        Where there are none.
    """
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

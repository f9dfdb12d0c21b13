"""A Parquet file is opened within bounds: its metadata are read before anything is unpacked.

Law: memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from shared.errors import InvalidTable
from shared.parsing_limits import MAX_FOOTER_BYTES
from shared.tables import messages
from shared.tables.columns import (
    MAX_ROWS,
    Between,
    FileFormat,
    nothing,
    plain,
    refuse_columns,
    refuse_twice,
    refuse_wide,
    require_rows,
)
from shared.tables.csv import blocks

MAX_CHUNK_BYTES = 256 * 1024**2
BATCH_ROWS = 32_768


def recognise_parquet(path: Path, between: Between = nothing) -> FileFormat:
    """Read the metadata of a Parquet file.

    Raises
    ------
    InvalidTable
        Where the file is broken, too large, or has a header used twice.
    """
    digest, size = hashlib.sha256(), 0
    for block in blocks(path, between):
        digest.update(block)
        size += len(block)
    _refuse_large_footer(path, size)
    with _broken_files_refused(), pa.parquet.ParquetFile(path) as file:
        names, metadata = file.schema_arrow.names, file.metadata
        _refuse_bomb(metadata)
    refuse_twice(names)
    require_rows(names, metadata.num_rows)
    return FileFormat(path, tuple(names), digest.hexdigest(), size, max(size, 8 * metadata.num_rows * len(names)))


def parquet_batches(path: Path, names: list[str]) -> Iterator[dict[str, pa.Array]]:
    """The rows of the columns called `names`; texts are unpacked only after their length was counted."""
    with _broken_files_refused(), pa.parquet.ParquetFile(path) as file:
        _refuse_bomb(file.metadata)
        schema, metadata = file.schema_arrow, file.metadata
        texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
        with pa.parquet.ParquetFile(path, read_dictionary=texts, metadata=metadata) as packed:
            for batch in packed.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
                batch.validate(full=True)
                yield {n: plain(c) for n, c in zip(batch.schema.names, batch.columns, strict=True)}


@contextmanager
def _broken_files_refused() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidTable(messages.broken_parquet(error)) from None


def _refuse_bomb(metadata: Any) -> None:
    """Raise InvalidTable where the metadata tell of more than fits into memory piece by piece.

    A few kilobytes can hold a thousand million repeated values, or unpack to gigabytes.
    """
    refuse_wide(metadata.num_columns)
    if metadata.num_rows > MAX_ROWS:
        raise InvalidTable(messages.too_many_rows(MAX_ROWS))
    columns = map(metadata.schema.column, range(metadata.num_columns))
    lists = dict.fromkeys(c.path.removesuffix(".list.element") for c in columns if c.max_repetition_level)
    refuse_columns([(name, messages.HOLDS_LISTS) for name in lists])
    # The group's own sum: asking pyarrow for a column's metadata ends the process where they are damaged.
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        if group.total_byte_size > MAX_CHUNK_BYTES + 8 * group.num_rows * metadata.num_columns:
            raise InvalidTable(messages.ROW_GROUP_TOO_LARGE)


def _refuse_large_footer(path: Path, size: int) -> None:
    with path.open("rb") as file:
        file.seek(max(size - 8, 0))
        end = file.read(8)
    if end[4:] == b"PAR1" and int.from_bytes(end[:4], "little") > MAX_FOOTER_BYTES:
        raise InvalidTable(messages.FOOTER_TOO_LARGE)

"""Limits of an Arrow IPC stream, checked in its message headers before anything is expanded.

Law: the checks take no memory beyond the stream's: an uncompressed batch is read in place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import MalformedRequest, TooLarge
from shared.parsing_limits import (
    MAX_ARROW_COLUMNS,
    MAX_ARROW_MESSAGES,
    MAX_ARROW_ROWS,
    MAX_ARROW_SCHEMA_BYTES,
    MAX_REPEATED_BYTES,
    MAX_UNPACKED_BYTES,
    MAX_UNPACKED_TIMES,
)

COMPRESSED = "The Arrow stream is compressed: send uncompressed batches."
#: Positions of fields in the tables of Arrow's Message.fbs.
_HEADER, _BATCH_OF_DICTIONARY, _COMPRESSION = 2, 1, 3


def refuse_compressed(body: bytes) -> None:
    """Check the messages of a stream.

    Raises
    ------
    MalformedRequest
        A batch is compressed: a few kilobytes could expand to gigabytes.
    TooLarge
        The schema is too large, or there are too many columns or batches.
    """
    for number, message in enumerate(_messages(body)):
        if message.type == "schema" and message.metadata.size > MAX_ARROW_SCHEMA_BYTES:
            raise TooLarge(f"The Arrow stream's schema is larger than {MAX_ARROW_SCHEMA_BYTES // 2**20} MB.")
        if number > MAX_ARROW_MESSAGES:
            raise TooLarge(f"The Arrow stream has more than {MAX_ARROW_MESSAGES:,} batches: send larger ones.")
        if _is_compressed(message):
            raise MalformedRequest(COMPRESSED)
    columns = len(pa.ipc.open_stream(body).schema.names)
    if columns > MAX_ARROW_COLUMNS:
        raise TooLarge(f"The Arrow stream has {columns:,} columns, and at most {MAX_ARROW_COLUMNS:,} are allowed.")


def _messages(body: bytes) -> Iterator[Any]:
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(body))
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _is_compressed(message: Any) -> bool:
    """Return whether the buffers of a batch are compressed; pyarrow has already checked its offsets."""
    about = message.metadata.to_pybytes()
    table = _target(about, 0)
    if message.type == "dictionary":
        table = _child(about, _child(about, table, _HEADER), _BATCH_OF_DICTIONARY)
    elif message.type == "record batch":
        table = _child(about, table, _HEADER)
    else:
        return False
    return _field(about, table, _COMPRESSION) != 0


def _child(about: bytes, table: int, field: int) -> int:
    """Return the position of the table that a field of a table refers to."""
    return _target(about, table + _field(about, table, field))


def _field(about: bytes, table: int, field: int) -> int:
    """Return the offset of a field from the start of its table; 0 if it is absent."""
    offsets = table - int(struct.unpack_from("<i", about, table)[0])
    size = int(struct.unpack_from("<H", about, offsets)[0])
    place = 4 + 2 * field
    return int(struct.unpack_from("<H", about, offsets + place)[0]) if place < size else 0


def _target(about: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", about, at)[0])


def refuse_expanding(table: pa.Table, received: int) -> None:
    """Raise TooLarge if 64-bit numbers, or expanded texts, would take far more memory than was received.

    A column of nulls takes no bytes in a stream, and a text stored once can be referenced a million times.
    """
    if table.num_rows > MAX_ARROW_ROWS:
        raise TooLarge(f"The Arrow stream has {table.num_rows:,} rows, and at most {MAX_ARROW_ROWS:,} are allowed.")
    if 8 * table.num_rows * table.num_columns > max(MAX_UNPACKED_BYTES, MAX_UNPACKED_TIMES * received):
        raise TooLarge(
            f"The Arrow stream expands to more than {MAX_UNPACKED_TIMES} times its size: send 64-bit columns."
        )
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if any(_expanded_bytes(chunk) > MAX_REPEATED_BYTES for chunk in column.chunks):
            raise TooLarge(f"{name}: its texts expand to more than {MAX_REPEATED_BYTES // 2**20} MB.")


def _expanded_bytes(chunk: Any) -> int:
    """Return the bytes of a chunk's expanded texts, if its type can store a text once for many rows; else 0."""
    if pa.types.is_string_view(chunk.type) or pa.types.is_binary_view(chunk.type):
        # Sixteen bytes per text: its length and its position.
        lengths = np.frombuffer(chunk.buffers()[1], np.int32)[::4][chunk.offset : chunk.offset + len(chunk)]
        return int(lengths.sum(dtype=np.int64))
    if not pa.types.is_dictionary(chunk.type):
        return 0
    kind = chunk.type.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return 0
    return int(pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0)

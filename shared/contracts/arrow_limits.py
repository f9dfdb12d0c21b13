"""Limits of an Arrow IPC stream, checked in its message headers before anything is unpacked.

Law: nothing here takes memory that the stream does not take already: a batch that is not packed is read where it lies.
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

PACKED = "The Arrow stream is compressed: send its batches as they are."
#: Places of fields in the tables that Arrow's Message.fbs defines.
_HEADER, _BATCH_OF_DICTIONARY, _COMPRESSION = 2, 1, 3


def refuse_packed(body: bytes) -> None:
    """Look at the messages of a stream.

    Raises
    ------
    MalformedRequest
        Where a batch is compressed: a few kilobytes could be gigabytes.
    TooLarge
        Where the schema is larger, or the batches are more, than any table's.
    """
    for number, message in enumerate(_messages(body)):
        if message.type == "schema" and message.metadata.size > MAX_ARROW_SCHEMA_BYTES:
            raise TooLarge(f"The Arrow stream's schema has more than {MAX_ARROW_SCHEMA_BYTES // 2**20} MB.")
        if number > MAX_ARROW_MESSAGES:
            raise TooLarge(f"The Arrow stream has more than {MAX_ARROW_MESSAGES:,} batches: send larger ones.")
        if _is_packed(message):
            raise MalformedRequest(PACKED)
    columns = len(pa.ipc.open_stream(body).schema.names)
    if columns > MAX_ARROW_COLUMNS:
        raise TooLarge(f"The Arrow stream has {columns:,} columns, and {MAX_ARROW_COLUMNS:,} are the most.")


def _messages(body: bytes) -> Iterator[Any]:
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(body))
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _is_packed(message: Any) -> bool:
    """Return whether the buffers of a batch are compressed; pyarrow has checked that its offsets hold."""
    about = message.metadata.to_pybytes()
    table = _follow(about, 0)
    if message.type == "dictionary":
        table = _child(about, _child(about, table, _HEADER), _BATCH_OF_DICTIONARY)
    elif message.type == "record batch":
        table = _child(about, table, _HEADER)
    else:
        return False
    return _field(about, table, _COMPRESSION) != 0


def _child(about: bytes, table: int, field: int) -> int:
    """Where the table begins that a field of a table refers to."""
    return _follow(about, table + _field(about, table, field))


def _field(about: bytes, table: int, field: int) -> int:
    """Return the offset of a field from its table's beginning; 0 where it is absent."""
    offsets = table - int(struct.unpack_from("<i", about, table)[0])
    size = int(struct.unpack_from("<H", about, offsets)[0])
    place = 4 + 2 * field
    return int(struct.unpack_from("<H", about, offsets + place)[0]) if place < size else 0


def _follow(about: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", about, at)[0])


def refuse_swollen(table: pa.Table, received: int) -> None:
    """Raise TooLarge where numbers of 64 bits, or texts written out, would take far more than was received.

    Nulls take nothing in a stream, and a text that is stored once may be meant a million times.
    """
    if table.num_rows > MAX_ARROW_ROWS:
        raise TooLarge(f"The Arrow stream has {table.num_rows:,} rows, and {MAX_ARROW_ROWS:,} are the most.")
    if 8 * table.num_rows * table.num_columns > max(MAX_UNPACKED_BYTES, MAX_UNPACKED_TIMES * received):
        raise TooLarge(
            f"The Arrow stream unpacks to more than {MAX_UNPACKED_TIMES} times its size: send columns of 64 bits."
        )
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if any(_written_out(chunk) > MAX_REPEATED_BYTES for chunk in column.chunks):
            raise TooLarge(f"{name}: its texts come to more than {MAX_REPEATED_BYTES // 2**20} MB once written out.")


def _written_out(chunk: Any) -> int:
    """Bytes of the texts of a part of a column, if they may be stored once and meant many times."""
    if pa.types.is_string_view(chunk.type) or pa.types.is_binary_view(chunk.type):
        # Sixteen bytes for each text: its length, and where it stands.
        lengths = np.frombuffer(chunk.buffers()[1], np.int32)[::4][chunk.offset : chunk.offset + len(chunk)]
        return int(lengths.sum(dtype=np.int64))
    if not pa.types.is_dictionary(chunk.type):
        return 0
    kind = chunk.type.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return 0
    return int(pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0)

"""The rows of a training, as the Arrow stream that is sent to the ML service.

Law: all rows are read before the first is sent.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa

from gateway.services.importing import uploads
from shared.contracts import arrow
from shared.contracts.api import TrainParams
from shared.schema.features import Schema

#: Bytes sent at a time.
PIECE = 256 * 1024


@contextmanager
def whole(
    schema: Schema, params: TrainParams, rows: Generator[pa.RecordBatch, None, None], data_folder: Path
) -> Iterator[Iterator[bytes]]:
    """Read all rows, then return their Arrow stream piece by piece.

    They are read before the request begins: the ML service drops a client that sends nothing for 30 s, and the database
    may take longer between two dates, or an import may have to end first. The file has no name, so nothing is left of
    it when this process is killed.
    """
    with tempfile.TemporaryFile(dir=uploads.folder(data_folder)) as kept:
        with closing(rows):
            for piece in arrow.encode_chunks(arrow.train_schema(schema, params.model_dump()), rows):
                kept.write(piece)
        kept.seek(0)
        yield iter(partial(kept.read, PIECE), b"")

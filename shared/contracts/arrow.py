"""The ML service's HTTP API in columns: Arrow IPC streams for many rows.

Law: one encoder and one decoder for each direction, used by both services.
Feature columns: number -> float64, category -> string; null means missing.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from shared.contracts.api import REASON_NUMBERS
from shared.contracts.arrow_limits import refuse_compressed, refuse_expanding
from shared.contracts.outlook import LATER_HORIZONS
from shared.errors import MalformedRequest, TooLarge
from shared.parsing_limits import MAX_METADATA_BYTES, refuse_hard_json
from shared.schema.features import Schema

METADATA_KEY = b"retainstream"
ROW_KEY = "row_key"
LABEL = "label"
AS_OF = "as_of"
#: Columns of training rows: 1 if the customer left within so many days, 0 if not, null where that is not known yet.
LEFT_WITHIN = {days: f"left_within_{days}_days" for days in LATER_HORIZONS}
#: Column of training rows with label 1: 1 if the end was involuntary, 0 if it was wished, null where nobody says.
LEFT_INVOLUNTARILY = "left_involuntarily"
#: Column of training rows, no feature: 1 if a campaign that could change the label drew the customer for contact.
DRAWN_TO_BE_CONTACTED = "drawn_to_be_contacted"
#: In the metadata of an answer: the values that the model does not know, as `fact_warnings.UnknownValues`.
UNKNOWN_VALUES = "unknown_values"
#: In the metadata of an answer: values of leavers among the rows, as `serving_check.LeaverValuesSeen`.
LEAVER_VALUES = "leaver_values"


def feature_fields(schema: Schema) -> list[pa.Field]:
    """Return the Arrow field of each feature, in the schema's order."""
    types = {"number": pa.float64(), "category": pa.string()}
    return [pa.field(name, types[feature.kind]) for name, feature in schema.features.items()]


def predict_schema(schema: Schema) -> pa.Schema:
    """Return the columns of a prediction request: `row_key` int64 (can be null) and the features."""
    return pa.schema([pa.field(ROW_KEY, pa.int64()), *feature_fields(schema)])


def train_schema(schema: Schema, params: Mapping[str, Any] | None = None) -> pa.Schema:
    """Return the columns of a training snapshot.

    `row_key`, `as_of` (date32 or null), `label` int8, what became of the row later (int8 or null), whether a campaign
    drew it to be contacted (int8), the features.
    """
    fields = [pa.field(ROW_KEY, pa.int64()), pa.field(AS_OF, pa.date32()), pa.field(LABEL, pa.int8())]
    fields += [pa.field(name, pa.int8()) for name in (*LEFT_WITHIN.values(), LEFT_INVOLUNTARILY, DRAWN_TO_BE_CONTACTED)]
    metadata = {METADATA_KEY: json.dumps(params).encode()} if params is not None else None
    return pa.schema([*fields, *feature_fields(schema)], metadata=metadata)


def answer_schema(about: Mapping[str, Any] | None = None) -> pa.Schema:
    """Return the columns of a prediction answer, whose rows are in the order of the request.

    `reason_k` is the feature's position in the schema (-1: fewer features than reasons); `points_k` its points.
    """
    fields = [
        pa.field("churn_probability", pa.float64()),
        pa.field("confidence", pa.float64()),
        pa.field("out_of_fold", pa.bool_()),
    ]
    for k in REASON_NUMBERS:
        fields += [pa.field(f"reason_{k}", pa.int16()), pa.field(f"points_{k}", pa.float64())]
    metadata = {METADATA_KEY: json.dumps(about).encode()} if about is not None else None
    return pa.schema(fields, metadata=metadata)


def encode(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """Return batches as one IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def encode_chunks(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Yield batches as one IPC stream, piece by piece, without holding it in memory."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()


def decode(body: bytes) -> pa.Table:
    """Read an IPC stream after checking that it does not expand beyond the limits.

    Raises
    ------
    MalformedRequest
        The bytes are not a complete Arrow stream.
    TooLarge
        The stream expands beyond the limits of `shared.parsing_limits`.
    """
    try:
        refuse_compressed(body)
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
        refuse_expanding(table, len(body))
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, struct.error) as error:
        raise MalformedRequest(f"The body is not a complete Arrow IPC stream: {error}") from None
    return table


def metadata(table: pa.Table) -> dict[str, Any]:
    """Return the metadata of a table's stream."""
    raw: bytes | None = (table.schema.metadata or {}).get(METADATA_KEY)
    if raw is None:
        raise MalformedRequest("The Arrow stream has no `retainstream` metadata.")
    if len(raw) > MAX_METADATA_BYTES:
        raise TooLarge(f"The Arrow stream's `retainstream` metadata is larger than {MAX_METADATA_BYTES // 2**20} MB.")
    refuse_hard_json(raw)
    try:
        value = json.loads(raw)
    except ValueError:
        raise MalformedRequest("The Arrow stream's `retainstream` metadata is not JSON.") from None
    if not isinstance(value, dict):
        raise MalformedRequest("The Arrow stream's `retainstream` metadata is not a JSON object.")
    return value

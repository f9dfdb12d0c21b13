"""Columns on the wire: what is encoded is what is decoded, and nothing else is."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts import arrow
from shared.errors import MalformedRequest
from shared.schema.features import schema_from_dict
from tests.fuzz.examples import examples

SCHEMA = schema_from_dict({"features": {"x": {"kind": "number"}, "plan": {"kind": "category"}}})
WIRE = arrow.predict_schema(SCHEMA)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(allow_nan=False), st.none() | st.text()
    )
)


def batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, WIRE, strict=True)], schema=WIRE
    )


@settings(deadline=None, max_examples=examples(100))
@given(ROWS, st.integers(1, 5))
def test_rows_come_back_as_they_went_whole_or_in_pieces(rows: list[tuple[object, ...]], pieces: int) -> None:
    parts = [batch(rows[at : at + pieces]) for at in range(0, len(rows), pieces)]
    whole, streamed = arrow.encode(WIRE, parts), b"".join(arrow.encode_chunks(WIRE, parts))
    for body in (whole, streamed):
        table = arrow.decode(body)
        assert table.schema == WIRE
        assert [tuple(row.values()) for row in table.to_pylist()] == rows


def test_a_stream_of_no_rows_still_has_its_columns() -> None:
    assert arrow.decode(arrow.encode(WIRE, [])).schema == WIRE
    assert arrow.decode(b"".join(arrow.encode_chunks(WIRE, []))).num_rows == 0


def test_pieces_are_sent_as_they_are_made() -> None:
    seen: list[int] = []

    def batches() -> object:
        for number in range(3):
            seen.append(number)
            yield batch([(number, 1.0, "a")])

    stream = arrow.encode_chunks(WIRE, batches())  # type: ignore[arg-type]
    assert (next(stream) != b"", seen) == (True, [0])
    assert (next(stream) != b"", seen) == (True, [0, 1])


@pytest.mark.parametrize("body", [b"", b"hello", b"{}", b"\xff\xff\xff\xff" * 9, b"ARROW1\x00\x00"])
def test_bytes_that_are_no_stream_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest, match="Arrow"):
        arrow.decode(body)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_stream_that_was_cut_is_malformed_and_never_a_shorter_table(share: float) -> None:
    body = arrow.encode(WIRE, [batch([(k, 1.0, "a") for k in range(500)]) for _ in range(4)])
    with pytest.raises(MalformedRequest):
        arrow.decode(body[: int(len(body) * share)])


def test_parameters_travel_beside_the_columns() -> None:
    body = arrow.encode(arrow.train_schema(SCHEMA, {"model_version": "2.4.1", "seed": 3}), [])
    assert arrow.metadata(arrow.decode(body)) == {"model_version": "2.4.1", "seed": 3}


@pytest.mark.parametrize("raw", [None, b"no json", b"[1]"])
def test_parameters_that_are_missing_or_no_object_are_malformed(raw: bytes | None) -> None:
    schema = WIRE.with_metadata({arrow.METADATA_KEY: raw} if raw is not None else {b"other": b"x"})
    with pytest.raises(MalformedRequest, match="metadata"):
        arrow.metadata(arrow.decode(arrow.encode(schema, [])))


def test_columns_have_their_promised_types() -> None:
    train = arrow.train_schema(SCHEMA)
    assert [str(field.type) for field in train] == ["int64", "date32[day]", *["int8"] * 6, "double", "string"]
    assert arrow.answer_schema().names[:3] == ["churn_probability", "confidence", "out_of_fold"]

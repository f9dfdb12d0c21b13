"""Columns to the model's matrix."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_service.data.feature_matrix import columns_from_lists, learn_categories, to_matrix, typed_columns
from ml_service.data.plain_cells import PlainCells
from shared.contracts.api import Cell
from shared.errors import InvalidInput
from shared.schema.features import Schema, schema_from_dict


@pytest.fixture
def schema() -> Schema:
    return schema_from_dict({"features": {"n": {"kind": "number"}, "c": {"kind": "category"}}})


def fields(error: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [detail["field"] for detail in error.value.details]


def test_values_keep_their_place_and_missing_is_nan(schema: Schema) -> None:
    columns = typed_columns(schema, pa.table({"c": ["b", None, "a"], "extra": [1, 2, 3], "n": [1, None, 3]}))
    categories = learn_categories(schema, columns)
    matrix = to_matrix(schema, categories, columns)
    assert categories == {"c": ["a", "b"]}
    np.testing.assert_array_equal(matrix.values, [[1, 1], [np.nan, np.nan], [3, 0]])
    assert matrix.unknown == {}


def test_a_category_never_seen_is_missing_and_counted(schema: Schema) -> None:
    columns = typed_columns(schema, pa.table({"n": [1.0] * 4, "c": ["a", "new", "newer", None]}))
    matrix = to_matrix(schema, {"c": ["a"]}, columns)
    assert matrix.unknown["c"].rows.tolist() == [1, 2]
    assert matrix.unknown["c"].values.to_pylist() == ["new", "newer"]
    assert np.isnan(matrix.values[1:, 1]).all()


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint16(), pa.float32(), pa.bool_()])
def test_any_number_is_a_number(schema: Schema, kind: pa.DataType) -> None:
    column = pa.array([1, 0, None]).cast(kind)
    values = to_matrix(schema, {"c": []}, typed_columns(schema, pa.table({"n": column, "c": pa.nulls(3)}))).values
    np.testing.assert_array_equal(values[:, 0], [1, 0, np.nan])


def test_a_dictionary_of_text_is_text(schema: Schema) -> None:
    column = pa.array(["a", "b", "a"]).dictionary_encode()
    assert typed_columns(schema, pa.table({"n": [1, 2, 3], "c": column}))["c"].to_pylist() == ["a", "b", "a"]


def test_every_wrong_column_is_named(schema: Schema) -> None:
    with pytest.raises(InvalidInput, match="n: A number was expected") as error:
        typed_columns(schema, pa.table({"n": ["1", "2"]}))
    assert fields(error) == ["n", "c"]


def test_a_column_that_is_there_twice_is_refused(schema: Schema) -> None:
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0]), pa.array(["a"])], names=["n", "n", "c"])
    with pytest.raises(InvalidInput, match="more than once"):
        typed_columns(schema, twice)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e39])
def test_what_the_trees_cannot_hold_is_refused_with_its_row(schema: Schema, value: float) -> None:
    with pytest.raises(InvalidInput) as error:
        typed_columns(schema, pa.table({"n": [1.0, value], "c": ["a", "a"]}))
    assert error.value.details[0]["row"] == 1


def test_a_gap_is_refused_where_the_schema_allows_none() -> None:
    strict = schema_from_dict({"features": {"n": {"kind": "number", "missing": False}}})
    with pytest.raises(InvalidInput, match="missing"):
        typed_columns(strict, pa.table({"n": [1.0, None]}))


def test_lists_and_arrow_lead_to_the_same_columns(schema: Schema) -> None:
    lists = columns_from_lists(schema, {"n": [1, 1.0, None, 2.5], "c": ["a", 1, True, None]})
    table = typed_columns(schema, pa.table({"n": [1, 1, None, 2.5], "c": ["a", "1", "true", None]}))
    assert lists.equals(table)


def test_a_category_in_json_is_read_as_a_cell_of_a_file_is(schema: Schema) -> None:
    lists = columns_from_lists(schema, {"n": [0] * 5, "c": [" a ", "1.0", 1.0, "TRUE", "  "]})
    assert lists["c"].to_pylist() == ["a", "1", "1", "true", None]


def test_text_where_a_number_belongs_is_named_with_its_row(schema: Schema) -> None:
    with pytest.raises(InvalidInput) as error:
        columns_from_lists(schema, {"n": [1, "two"], "c": ["a", "b"], "x": [1, 2]})
    assert [(d["field"], d.get("row")) for d in error.value.details] == [("columns.x", None), ("columns.n", 1)]
    with pytest.raises(InvalidInput, match=r"columns\.n: A number was expected"):
        columns_from_lists(schema, {"n": [False], "c": ["a"]})


def test_unequal_lengths_are_refused(schema: Schema) -> None:
    with pytest.raises(InvalidInput, match="1 values, but the first column has 2"):
        columns_from_lists(schema, {"n": [1, 2], "c": ["a"]})


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.just(-0.0), st.sampled_from([1e39, 2**62 + 1, 10**30]),
    st.sampled_from(["a", " a ", "1", "1.0", "true", "TRUE", "", "new", "1.50"]),
)  # fmt: skip


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4),
    beside=st.sampled_from([{}, {"x": [1]}, {"n": [1]}]),
    missing=st.booleans(),
)
def test_the_short_way_reads_what_the_long_one_reads_to_the_bit_or_nothing(
    rows: list[tuple[Cell, ...]], beside: dict[str, list[Cell]], missing: bool
) -> None:
    features = {"n": {"kind": "number"}, "m": {"kind": "number", "missing": missing}, "c": {"kind": "category"}}
    schema = schema_from_dict({"features": features})
    categories = {"c": ["1", "1.50", "TRUE", "a", "true"]}  # two that a table would have brought in another form
    columns = {name: [row[k] for row in rows] for k, name in enumerate("nmc")} | beside
    short = PlainCells(schema, categories).read(columns)
    try:
        long = to_matrix(schema, categories, columns_from_lists(schema, columns))
    except (InvalidInput, OverflowError, pa.ArrowException):
        assert short is None
        return
    if short is not None:
        assert short.values.tobytes() == long.values.tobytes()
        assert short.values.shape == long.values.shape
        assert not short.unknown and not long.unknown


def test_ordinary_rows_go_the_short_way(schema: Schema) -> None:
    short = PlainCells(schema, {"c": ["a", "b"]}).read({"c": ["b", None], "n": [1, 2.5]})
    assert short is not None
    np.testing.assert_array_equal(short.values, [[1, 1], [2.5, np.nan]])

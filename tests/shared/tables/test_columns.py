"""Named columns of a file: found by their headers, however many there are."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pytest

from shared.errors import InvalidTable
from shared.parsing_limits import MAX_COLUMNS
from shared.proposal.schema_inference import infer_schema
from shared.schema.features import schema_from_dict
from shared.tables.columns import FileColumns
from shared.tables.open import open_table
from shared.tables.read import read_table

SCHEMA = schema_from_dict({"id": "c0", "features": {"c1": {"kind": "number"}}})


def test_a_header_is_found_with_spaces_around_it_and_a_doubtful_one_is_refused() -> None:
    columns = FileColumns((" a", "b", "c ", " c"), (pa.array([1]), pa.array([2]), pa.array([3]), pa.array([4])), ",")
    assert [columns.actual(name) for name in ("a", " a ", "b", "x", "c ")] == [" a", " a", "b", None, "c "]
    assert columns.column("b").to_pylist() == [2]
    with pytest.raises(InvalidTable, match="'c'"):
        columns.actual("c")


def test_looking_up_every_column_takes_time_by_their_number_and_not_by_its_square() -> None:
    names = tuple(f"column {n} " for n in range(40_000))
    columns = FileColumns(names, (pa.array([], pa.string()),) * len(names), ",")
    began = time.process_time()
    assert [columns.actual(name.strip()) for name in names] == list(names)
    assert all(columns.column(name) is columns.columns[0] for name in names)
    assert time.process_time() - began < 2, "40,000 columns took 7 s and more by their places in a list"


def wide(tmp_path: Path, columns: int) -> Path:
    path = tmp_path / "wide.csv"
    names = [f"c{n}" for n in range(columns)]
    path.write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "door", [lambda p: read_table(p, SCHEMA), open_table, infer_schema], ids=["read", "open", "infer"]
)
def test_no_door_takes_more_columns_than_are_looked_at(tmp_path: Path, door: object) -> None:
    with pytest.raises(InvalidTable, match=f"{MAX_COLUMNS + 1:,} columns, and at most {MAX_COLUMNS:,} can be read"):
        door(wide(tmp_path, MAX_COLUMNS + 1))  # type: ignore[operator]
    assert read_table(wide(tmp_path, MAX_COLUMNS), SCHEMA).ids.to_pylist() == ["1"]

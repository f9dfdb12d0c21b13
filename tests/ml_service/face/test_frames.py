"""A table in memory means what the same table means as a file."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_service.face.frames import as_file
from retainstream import ChurnModel
from shared.proposal.schema_inference import infer_schema
from shared.tables.read import read_table

ROWS = 60
EACH = np.arange(ROWS)


def told(values: list[Any]) -> list[Any]:
    return [values[i % len(values)] for i in range(ROWS)]


COLUMNS: dict[str, Any] = {
    "text": told(["a", "b", None]),
    "category": pd.Categorical(told(["x", "y", None])),
    "coded_type": pd.Categorical(told([1, 2, None])),
    "whole": EACH % 9,
    "nullable": pd.array(told([1, None, 3]), dtype="Int64"),
    "half": (EACH % 7).astype(np.float16),
    "gaps": np.where(EACH % 5 == 0, np.nan, EACH / 8),
    "truth": EACH % 3 == 0,
    "perhaps": pd.array(told([True, False, None]), dtype="boolean"),
    "mixed": told(["7", 7, 7.5, None, True]),
    "money": told([Decimal("9.90"), Decimal("19.90"), None]),
    "bins": pd.cut(EACH / 3.3, 5),
    "months": pd.period_range("2019-01", periods=ROWS, freq="M"),
    "started": pd.to_datetime("2024-01-01") + pd.to_timedelta(EACH, unit="D"),
    "day": told([dt.date(2024, 5, 1), dt.date(2024, 6, 1), None]),
    "empty": [None] * ROWS,
    "  spaced  ": EACH % 4,
    "churn": told([True, False, False]),
}


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "churn"])
def test_a_column_is_read_as_from_a_file(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"other": EACH / 3, name: COLUMNS[name], "churn": COLUMNS["churn"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    read = []
    with as_file(frame) as parquet:
        for path in (tmp_path / "t.csv", parquet):
            proposal = infer_schema(path, name="t")
            table = read_table(path, proposal.schema)
            read.append((proposal.schema, proposal.notes, table.features, table.label, table.subscription))
    assert not parquet.exists()
    assert read[0] == read[1]


@pytest.mark.parametrize("cell", [{"a": 1}, [1, 2], 1j, object()])
def test_a_cell_that_no_file_could_hold_is_refused_by_name(cell: Any) -> None:
    frame = pd.DataFrame({"calls": [1, cell, "x"]})
    with pytest.raises(TypeError, match="Column 'calls': argument must be a string or a number"), as_file(frame):
        pass


@pytest.mark.parametrize(
    "X", [np.zeros((3, 0)), np.zeros(3), np.full((3, 2), np.inf), pd.DataFrame({"a": []}), pd.DataFrame()]
)
def test_an_array_that_is_no_table_is_refused(X: Any) -> None:
    with pytest.raises(ValueError, match=r"feature|1D array|infinity|no rows|empty|holds no"):
        ChurnModel().fit(X, [0, 1, 1][: len(X)] if len(X) else [])


def test_a_column_used_twice_is_refused_by_name() -> None:
    frame = pd.DataFrame(np.eye(3), columns=["a", "a", "churn"])
    with pytest.raises(ValueError, match="'a'"):
        ChurnModel(label="churn").fit(frame)

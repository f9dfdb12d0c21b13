"""The tables of `make evaluate`: real ones, and one that is made, with categories of many levels.

Law: exact copies of rows without ids are dropped, or they would stand on both sides of a fold.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedKFold

from ml_service.data.dataset import Snapshot, snapshot_of
from ml_service.data.feature_matrix import typed_columns
from shared.schema.features import load_schema, schema_from_dict
from shared.tables.read import read_table

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RETAINSTREAM_DATA", ROOT.parent / "shared" / "data"))
WIDE = "wide"


@dataclass(frozen=True)
class Table:
    """A table with its folds."""

    name: str
    snapshot: Snapshot
    values: np.ndarray
    folds: np.ndarray


def load(name: str) -> Table:
    """A table of the data folder, or the made one."""
    whole = wide() if name == WIDE else _real(name)
    values = whole.matrix()[0].values
    _, first = np.unique(np.column_stack([np.nan_to_num(values, nan=-9e9), whole.label]), axis=0, return_index=True)
    rows = np.sort(first) if whole.row_keys.null_count else np.arange(len(values))
    folds = np.empty(len(rows), dtype=np.int8)
    parts = StratifiedKFold(5, shuffle=True, random_state=0).split(rows, whole.label[rows])
    for number, (_, held_out) in enumerate(parts):
        folds[held_out] = number
    kept = Snapshot(
        whole.schema, whole.features.take(pa.array(rows)), whole.label[rows], None, whole.row_keys.take(pa.array(rows))
    )
    return Table(name, kept, values[rows], folds)


def _real(name: str) -> Snapshot:
    schema = load_schema(str(ROOT / "examples" / f"{name}.toml"))
    return snapshot_of(read_table(DATA / name / f"{name}.csv", schema, label="required"))


def is_there(name: str) -> bool:
    """Whether a table can be loaded on this machine."""
    return name == WIDE or (DATA / name).is_dir()


def wide(rows: int = 12_000, seed: int = 0) -> Snapshot:
    """Simulated: 6 % leave, by four of thirteen numbers and by the levels of categories of 20 and of 200 levels."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 13))
    margin = 0.6 * numbers[:, 0] + 0.4 * numbers[:, 1] * numbers[:, 2] - 0.5 * np.abs(numbers[:, 3])
    columns = {f"n{k}": pa.array(numbers[:, k]) for k in range(13)}
    for name, levels in (("region", 20), ("shop", 200)):
        # Some levels are common, most are rare.
        codes = np.minimum(rng.geometric(4 / levels, rows), levels) - 1
        margin += rng.normal(0, 0.3, levels)[codes]
        columns[name] = pa.array([f"{name} {code}" for code in codes])
    label = (rng.random(rows) < 1 / (1 + np.exp(2.75 - margin))).astype(np.int8)
    kinds = {name: {"kind": "number" if name.startswith("n") else "category"} for name in columns}
    schema = schema_from_dict({"name": WIDE, "features": kinds})
    return Snapshot(schema, typed_columns(schema, pa.table(columns)), label, None, pa.array(np.arange(rows)))

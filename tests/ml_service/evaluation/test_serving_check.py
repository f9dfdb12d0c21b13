"""A leak that training could only caution about shows when living customers are scored; an honest feature does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from ml_service import score
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix, typed_columns
from ml_service.evaluation.serving_check import KEY, values_seen
from ml_service.training.pipeline import Trained, train
from shared.contracts.serving_check import serving_warnings
from shared.schema.features import schema_from_dict
from tests.ml_service.conftest import QUICK

SCHEMA = schema_from_dict(
    {"features": {"idle": {"kind": "number"}, "renewal": {"kind": "category"}, "noise": {"kind": "number"}}}
)


def table(rng: np.random.Generator, left: np.ndarray, renewal_off: np.ndarray) -> pa.Table:
    """Days since the last login, taken a month later, and an honest switch that is known at the time."""
    rows = len(left)
    idle = rng.exponential(5, rows)
    days = np.floor(np.where(left, rng.uniform(10, 40, rows) + idle, idle))
    renewal = pa.array(["off" if off else "on" for off in renewal_off])
    return typed_columns(SCHEMA, pa.table({"idle": days, "renewal": renewal, "noise": rng.normal(size=rows)}))


def test_a_leak_is_told_when_living_customers_are_scored_and_an_honest_switch_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(8)
    off = rng.random(8000) < 0.06
    left = rng.random(8000) < np.where(off, 0.7, 0.02)
    day = np.datetime64("2026-01-01") + 30 * (np.arange(8000) % 4)
    snapshot = Snapshot(SCHEMA, table(rng, left, off), left.astype(np.int8), day, pa.array(np.arange(8000)))
    model = train(snapshot, version="1.0.0", effort=QUICK).model
    assert {each["feature"] for each in model.training[KEY]} == {"idle", "renewal"}
    alive = table(rng, np.zeros(4000, dtype=bool), rng.random(4000) < 0.06)
    seen = values_seen(model, to_matrix(model.schema, model.categories, alive))
    [sentence] = serving_warnings(seen)
    assert sentence.startswith("idle: at least ")
    assert [each["values"] for each in seen if each["feature"] == "renewal"] == ["'off'"]
    model.save(tmp_path / "1.0.0")
    csv.write_csv(alive, tmp_path / "alive.csv")
    given = [
        "--model",
        str(tmp_path / "1.0.0"),
        "--data",
        str(tmp_path / "alive.csv"),
        "--out",
        str(tmp_path / "o.csv"),
    ]
    assert score.main(given) == 0
    assert sentence in capsys.readouterr().err.splitlines()


def test_a_model_without_dates_looks_for_nothing(undated_model: Trained, undated: Snapshot) -> None:
    assert KEY not in undated_model.model.training
    assert values_seen(undated_model.model, undated.matrix()[0]) == []

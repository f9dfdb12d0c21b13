"""The leak guard: ten planted leaks give ten named refusals, honest tables none."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ml_service.data.dataset import Snapshot, snapshot_of
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.grouping import customer_groups
from ml_service.data.leakage import find_leaks
from ml_service.data.leaks import Leak
from ml_service.data.simulated import simulated
from ml_service.training.pipeline import train
from shared.errors import InvalidInput, LeakFound
from shared.schema.features import load_schema, schema_from_dict
from shared.tables.read import read_table
from tests.ml_service.conftest import QUICK

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("RETAINSTREAM_DATA", ROOT.parent / "shared" / "data"))
Plant = Callable[[np.ndarray, np.random.Generator], object]


def _text(flags: np.ndarray, yes: str, no: str | None) -> list[str | None]:
    return [yes if flag else no for flag in flags]


def _gaps(values: np.ndarray, gone: np.ndarray) -> np.ndarray:
    return np.where(gone, np.nan, values.astype(float))


LEAKS: dict[str, Plant] = {
    "the label itself": lambda y, rng: y.astype(float),
    "the label, wrong once in fifty": lambda y, rng: np.where(rng.random(len(y)) < 0.02, 1 - y, y).astype(float),
    "the label turned round": lambda y, rng: 5.0 - y,
    "days since leaving, else a random number of the same kind": lambda y, rng: np.where(
        y == 1, rng.integers(400, 430, len(y)), rng.integers(0, 400, len(y))
    ).astype(float),
    "a band in the middle": lambda y, rng: np.where(y == 1, rng.normal(0, 0.2, len(y)), rng.choice([-3, 3], len(y))),
    "a state": lambda y, rng: _text(y == 1, "cancelled", "active"),
    "a value of their own for each": lambda y, rng: [
        f"gone {n}" if left else f"run {n}" if n % 50 == 1 else f"night {n % 15}" for n, left in enumerate(y)
    ],
    "a state of many words": lambda y, rng: [f"{'x' if left else 'a'}{rng.integers(15)}" for left in y],
    "emptied when they leave": lambda y, rng: _gaps(
        rng.normal(size=len(y)), rng.random(len(y)) < np.where(y, 0.5, 0.02)
    ),
    "a next invoice that leavers lack": lambda y, rng: _gaps(rng.integers(5, 30, len(y)), y == 1),
    "a reason that only leavers have": lambda y, rng: _text((y == 1) & (rng.random(len(y)) < 0.6), "price", None),
}


def planted(undated: Snapshot, values: object, name: str = "planted_one") -> Snapshot:
    kind = "category" if isinstance(values, list) else "number"
    schema = undated.schema.as_dict()
    schema["features"] = {**schema["features"], name: {"kind": kind}}
    column = pa.array(values, pa.string()) if kind == "category" else pa.array(values, from_pandas=True)
    return replace(
        undated,
        schema=schema_from_dict(schema),
        features=undated.features.append_column(name, pa.chunked_array([column])),
    )


@pytest.mark.parametrize("leak", list(LEAKS))
def test_a_planted_leak_is_refused_by_name_with_the_evidence(undated: Snapshot, leak: str) -> None:
    values = LEAKS[leak](undated.label, np.random.default_rng(5))
    with pytest.raises(LeakFound, match="planted_one") as refused:
        train(planted(undated, values), version="1.0.0", effort=QUICK)
    assert [detail["field"] for detail in refused.value.details] == ["planted_one"]
    evidence = refused.value.details[0]["message"]
    assert "AUC" in evidence or "% of leavers" in evidence
    assert "--allow-leak planted_one" in refused.value.message


def test_a_leak_that_is_allowed_stands_in_the_report_and_the_model_is_made(undated: Snapshot) -> None:
    snapshot = planted(undated, LEAKS["the label, wrong once in fifty"](undated.label, np.random.default_rng(5)))
    trained = train(snapshot, version="1.0.0", effort=QUICK, allow_leaks=["planted_one"])
    assert [leak.feature for leak in trained.report.allowed_leaks] == ["planted_one"]
    assert any("planted_one was allowed by name" in warning for warning in trained.report.warnings)
    assert trained.model.report is not None and trained.model.report["allowed_leaks"]


def test_only_features_can_be_allowed(undated: Snapshot) -> None:
    with pytest.raises(InvalidInput, match="no feature named nobody"):
        train(undated, version="1.0.0", effort=QUICK, allow_leaks=["nobody"])


def test_a_leak_that_the_schema_vouches_for_stands_in_the_report(undated: Snapshot) -> None:
    given = planted(undated, LEAKS["the label, wrong once in fifty"](undated.label, np.random.default_rng(5)))
    schema = given.schema.as_dict()
    schema["features"]["planted_one"]["known_at_scoring"] = True
    trained = train(replace(given, schema=schema_from_dict(schema)), version="1.0.0", effort=QUICK)
    assert [leak.feature for leak in trained.report.allowed_leaks] == ["planted_one"]
    assert any("planted_one is vouched for by the schema" in warning for warning in trained.report.warnings)
    assert not any("The schema vouches that" in warning for warning in trained.report.warnings)


def test_a_training_names_the_features_that_the_schema_vouches_for_though_they_are_no_leak(undated: Snapshot) -> None:
    schema = undated.schema.as_dict()
    schema["features"]["calls"]["known_at_scoring"] = True
    trained = train(replace(undated, schema=schema_from_dict(schema)), version="1.0.0", effort=QUICK)
    assert "The schema vouches that these are known when customers are scored: calls." in trained.report.warnings


def leaks_in(snapshot: Snapshot) -> list[Leak]:
    values = snapshot.matrix()[0].values
    groups = customer_groups(snapshot.row_keys, values)
    dated = snapshot.as_of is not None
    return find_leaks(snapshot.schema, values, snapshot.label, groups, seed=0, dated=dated)


def found_in(snapshot: Snapshot) -> list[str]:
    return [leak.name for leak in leaks_in(snapshot)]


# --- honest tables --------------------------------------------------------------------------------------------------

ROWS = 12_000


def _renewals(rng: np.random.Generator) -> tuple[np.ndarray, object]:
    """Annual contracts: who may leave in the next 30 days is known from the days to the renewal."""
    days = rng.integers(0, 365, ROWS)
    return (rng.random(ROWS) < np.where(days < 30, 0.6, 0.002)).astype(np.int8), days.astype(float)


def _renewal_off(rng: np.random.Generator) -> tuple[np.ndarray, object]:
    off = rng.random(ROWS) < 0.06
    left = (rng.random(ROWS) < np.where(off, 0.8, 0.003)).astype(np.int8)
    return left, _text(off, "off", "on")


def _nothing_watched(rng: np.random.Generator) -> tuple[np.ndarray, object]:
    empty = rng.random(ROWS) < 0.04
    left = (rng.random(ROWS) < np.where(empty, 0.3, 0.045)).astype(np.int8)
    return left, _gaps(rng.normal(40, 9, ROWS), empty)


def _device_unknown(rng: np.random.Generator) -> tuple[np.ndarray, object]:
    left = (rng.random(ROWS) < 0.06).astype(np.int8)
    return left, _gaps(rng.integers(0, 9, ROWS), rng.random(ROWS) < np.where(left, 0.025, 0.001))


def _retention_call(rng: np.random.Generator) -> tuple[np.ndarray, object]:
    called = rng.random(ROWS) < 0.012
    left = (rng.random(ROWS) < np.where(called, 0.6, 0.045)).astype(np.int8)
    return left, _gaps(rng.normal(8, 3, ROWS), ~called)


HONEST = [_renewals, _renewal_off, _nothing_watched, _device_unknown, _retention_call]


@pytest.mark.parametrize("make", HONEST, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("seed", range(3))
def test_an_honest_feature_of_a_dated_table_is_not_refused(make: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    label, values = make(rng)
    kind = "category" if isinstance(values, list) else "number"
    schema = schema_from_dict({"features": {"n": {"kind": "number"}, "honest": {"kind": kind}}})
    column = pa.array(values, pa.string()) if kind == "category" else pa.array(values, from_pandas=True)
    features = pa.table({"n": rng.normal(size=ROWS), "honest": column})
    days = np.full(ROWS, np.datetime64("2026-01-31"))
    snapshot = Snapshot(schema, typed_columns(schema, features), label, days, pa.array(np.arange(ROWS)))
    assert [leak for leak in leaks_in(snapshot) if leak.refuses] == []


@pytest.mark.parametrize("preset", ["documented", "realistic"])
def test_the_simulated_subscribers_set_it_off_in_no_feature(preset: str) -> None:
    assert found_in(simulated(preset, customers=2500).snapshot) == []


@pytest.mark.parametrize("name", ["telco", "iranian"])
def test_real_tables_set_it_off_in_no_feature(name: str) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"real tables are not in {DATA} (RETAINSTREAM_DATA)")
    schema = load_schema(str(ROOT / "examples" / f"{name}.toml"))
    assert found_in(snapshot_of(read_table(DATA / name / f"{name}.csv", schema, label="required"))) == []

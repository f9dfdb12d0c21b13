"""Small tables and the models made of them, once per run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from flask import Flask
from flask.testing import FlaskClient

from ml_service.app import create_app
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.later_outcomes import UNKNOWN
from ml_service.data.simulated import simulated
from ml_service.settings import Settings
from ml_service.training.pipeline import Effort, Trained, train
from shared.contracts import arrow
from shared.schema.features import Schema, schema_from_dict
from tests import prefork

TOKEN = "a-service-token-for-tests-of-32-characters"
#: One configuration: what a test trains that does not look at the search.
QUICK = Effort(trials=1)
DATED, UNDATED = "2.4.1", "3.0.0"
#: Seconds that a training on all simulated records may take on a machine that does other things beside.
SLOW_S = 900


def _schema() -> Schema:
    number, category = {"kind": "number"}, {"kind": "category"}
    return schema_from_dict(
        {
            "name": "undated",
            "id": "id",
            "label": "left",
            "positive": ["1"],
            "features": {"calls": number, "age": {"kind": "number", "direction": "up"}, "tariff": category},
        }
    )


def make_undated(rows: int = 900, seed: int = 7) -> Snapshot:
    """A table without dates: two numbers, one category, gaps in both, and a key per row."""
    rng = np.random.default_rng(seed)
    calls, age = rng.normal(10, 4, rows), rng.integers(18, 80, rows).astype(float)
    tariff = rng.integers(0, 3, rows)
    chance = 1 / (1 + np.exp(-(-1.5 + 0.25 * (calls - 10) + 0.02 * (age - 45) + np.array([0, 0.7, -0.9])[tariff])))
    label = (rng.random(rows) < chance).astype(np.int8)
    calls[rng.random(rows) < 0.05] = np.nan
    names = np.array(["basic", "plus", "old"], dtype=object)[tariff]
    names[rng.random(rows) < 0.03] = None
    schema = _schema()
    table = pa.table({"calls": calls, "age": age, "tariff": pa.array(names.tolist(), pa.string())})
    keys = pa.array(rng.permutation(rows).astype(np.int64) * 10**12 - 5)
    return Snapshot(schema, typed_columns(schema, table), label, None, keys)


def as_stream(snapshot: Snapshot, **params: Any) -> bytes:
    """A snapshot as the gateway sends it."""
    given = {"model_version": "9.0.0", "table_schema": snapshot.schema.as_dict(), "trials": 1, **params}
    schema = arrow.train_schema(snapshot.schema, given)
    as_of = pa.nulls(len(snapshot.label), pa.date32()) if snapshot.as_of is None else pa.array(snapshot.as_of)
    columns = [snapshot.row_keys, as_of.cast(pa.date32()), pa.array(snapshot.label), *_later(snapshot)]
    columns += [pa.array(np.zeros(len(snapshot.label), dtype=np.int8))]  # no campaign drew anybody
    columns += [column.combine_chunks() for column in snapshot.features.columns]
    return arrow.encode(schema, [pa.record_batch(columns, schema=schema)])


def _later(snapshot: Snapshot) -> list[pa.Array]:
    later = snapshot.later
    if later is None:
        return [pa.nulls(len(snapshot.label), pa.int8())] * (len(arrow.LEFT_WITHIN) + 1)
    columns = [*later.left_within.values(), later.left_involuntarily]
    return [pa.array(each, mask=each == UNKNOWN) for each in columns]


@pytest.fixture(scope="session")
def undated() -> Snapshot:
    return make_undated()


@pytest.fixture(scope="session")
def dated() -> Snapshot:
    """Rows with dates and labels, as of a table without ends."""
    return replace(simulated(customers=500, seed=3).snapshot, later=None)


@pytest.fixture(scope="session")
def undated_model(undated: Snapshot) -> Trained:
    return train(undated, version=UNDATED, effort=QUICK)


@pytest.fixture(scope="session")
def dated_model(dated: Snapshot) -> Trained:
    return train(dated, version=DATED, effort=QUICK)


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory, dated_model: Trained, undated_model: Trained) -> Path:
    """A registry with both models, which nobody changes."""
    folder = tmp_path_factory.mktemp("saved") / "models"
    for trained in (dated_model, undated_model):
        trained.model.save(folder / trained.model.version, about={"created_at": "2026-01-01T00:00:00.000Z"})
    return folder


@pytest.fixture
def registry_folder(tmp_path: Path, saved_models: Path) -> Path:
    """A registry with both models, to do with as a test likes."""
    return Path(shutil.copytree(saved_models, tmp_path / "models"))


@pytest.fixture(scope="session")
def make_app() -> Callable[..., Flask]:
    def make(folder: Path, **settings: Any) -> Flask:
        given = {"ml_model_path": folder, "ml_service_token": TOKEN, "app_env": "test", "log_level": "error"}
        return create_app(Settings(_env_file=None, **{**given, **settings}))

    return make


class Caller:
    """A test client that knows the token."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def __call__(self, method: str, path: str, *, headers: dict[str, str] | None = None, **request: Any) -> Any:
        return self.client.open(
            path, method=method, headers={"Authorization": f"Bearer {TOKEN}", **(headers or {})}, **request
        )


@pytest.fixture(scope="session")
def call(make_app: Callable[..., Flask], saved_models: Path) -> Caller:
    """The service over both models, one for all tests that only ask."""
    return Caller(make_app(saved_models).test_client())


@pytest.fixture
def own_call(make_app: Callable[..., Flask], registry_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """The service over a registry of the test's own: for trainings, and for what damages files."""
    trainings = prefork.forks_of_trainings()
    monkeypatch.setattr("ml_service.training.process.multiprocessing.get_context", lambda _method: trainings)
    return Caller(make_app(registry_folder).test_client())

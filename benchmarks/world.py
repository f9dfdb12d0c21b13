"""Data of the benchmarks: simulated customers in a database, one trained model, and both services' parts."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from database.customers import customer_base, customers
from database.engine.bulk_insert import insert_rows
from database.engine.migrate import migrate
from database.engine.session import Database
from database.engine.sqlite.connections import PRAGMAS
from database.jobs import jobs
from database.models import models
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.jobs import work
from gateway.services.jobs.params import ScoreParams
from gateway.services.jobs.work import Work
from gateway.services.scoring import scoring_run
from gateway.settings import Settings
from ml_service.api.service import MLService
from ml_service.data.feature_matrix import learn_categories, to_matrix
from ml_service.data.simulated import simulated
from ml_service.model.calibration import fit_beta
from ml_service.model.churn_model import ChurnModel
from ml_service.model.registry import Registry
from ml_service.model.trees import boosting
from ml_service.model.trees.boosters import Trees
from ml_service.training.process import Trainer
from shared.clock import iso, utc_now
from shared.schema.features import built_in_schema

NOW, AS_OF, VERSION = "2026-06-30T12:00:00.000Z", "2026-06-30", "2.4.1"
SCHEMA = built_in_schema()
MODELS = "models"


class Data:
    """120,000 simulated records for training, more to judge by, and a model fitted to the former."""

    def __init__(self, folder: Path) -> None:
        snapshot = simulated(customers=13_334, seed=0).snapshot
        self.categories = learn_categories(SCHEMA, snapshot.features)
        self.features, self.label = snapshot.features, snapshot.label
        self.values = to_matrix(SCHEMA, self.categories, snapshot.features).values
        self.train = slice(0, 120_000)
        self.test = slice(120_000, len(self.label))
        chosen = ChurnModel(SCHEMA, version=VERSION).fit(snapshot.features[self.train], self.label[self.train])
        self.parameters = {k: value for k, value in chosen.parameters.items() if k not in ("rounds", "bag")}
        self.rounds = chosen.parameters["rounds"]
        self.types = boosting.feature_types(SCHEMA)
        self.booster = self.fit()
        self.booster.set_param({"nthread": 1})
        self.registry_folder = folder / MODELS
        self._save()

    def fit(self) -> xgb.Booster:
        """The configuration that the product's search chose for these records, fitted to all of them."""
        X, y = self.values[self.train], self.label[self.train]
        return boosting.fit(SCHEMA, self.parameters, X, y, rounds=self.rounds, bag=1, threads=1)

    def _save(self) -> None:
        model = ChurnModel(SCHEMA, version=VERSION)
        model.categories, model.trees = self.categories, Trees(self.booster, [], feature_types=self.types, threads=1)
        margin = self.booster.predict(self.matrix(self.values[self.test]), output_margin=True).astype(float)
        model.calibration = fit_beta(margin, self.label[self.test])
        model.threshold = model.balanced_threshold = 0.3
        model.parameters, model.training = self.parameters, {"rows": 120_000}
        model.save(self.registry_folder / VERSION, replace=True)
        self.model = ChurnModel.load(self.registry_folder / VERSION)

    def matrix(self, values: np.ndarray) -> xgb.DMatrix:
        """xgboost's own input."""
        return xgb.DMatrix(values, feature_types=self.types, enable_categorical=True, nthread=1)


class InProcess:
    """The model in the place of the ML client: the ML service's own code, without HTTP."""

    def __init__(self, folder: Path) -> None:
        registry = Registry(folder, threads=1)
        self.service = MLService(registry, Trainer(registry, threads=1, log_level="error"), first_version=VERSION)
        registry.get(VERSION)

    def score_columns(
        self, body: bytes, version: str, *, as_of: str | None = None, request_id: str | None = None
    ) -> bytes:
        """As `MLClient.score_columns`."""
        return self.service.score_table(body, version, as_of)


def make_database(path: Path, data: Data, rows: int) -> Database:
    """A base of so many customers with a live model, nobody scored yet."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    migrate(path)
    database = Database(path)
    names = customer_base.column_names(SCHEMA)
    with database.write() as connection:
        customer_base.adopt(connection, SCHEMA, is_demo=False, clock=utc_now)
        lists = {names[f]: data.features[f].to_pylist() for f in SCHEMA.feature_names}
        for start in range(0, rows, 50_000):
            ids = range(start + 1, min(start + 50_000, rows) + 1)
            pick = [(i * 7919) % len(data.label) for i in ids]
            features = [[column[k] for k in pick] for column in lists.values()]
            users, prices = [f"usr_{i}" for i in ids], [7.99 + i % 3 * 4 for i in ids]
            told = ((id, *row, 0, AS_OF, NOW, NOW) for id, *row in zip(ids, users, prices, *features, strict=True))
            columns = ("id", "user_id", "monthly_price", *lists, "churn", "as_of", "created_at", "updated_at")
            insert_rows(connection, customer_base.customers_table(SCHEMA), columns, list(told))
        connection.exec_driver_sql(
            "INSERT INTO imports (id, file_name, sha256, schema_checksum, rows, customers_new, customers_updated, created_at)"
            " VALUES (1, 'bench', '0', '0', 0, 0, 0, ?)", (NOW,))  # fmt: skip
        connection.exec_driver_sql(
            "INSERT INTO customer_snapshots (customer_id, as_of, known_at, import_id) VALUES (1, ?, ?, 1)",
            (AS_OF, AS_OF),
        )
        connection.exec_driver_sql(
            "INSERT INTO models (id, version, state, schema_checksum, trained_on, report_json, created_at)"
            " VALUES (1, ?, 'ready', ?, ?, '{}', ?)", (VERSION, SCHEMA.checksum(), AS_OF, NOW))  # fmt: skip
        models.promote(connection, 1, reason="bench", live_from=NOW)
        customer_base.mark_ready(connection)
        assert customers.population(connection) == rows
    return database


def scoring_work(database: Database, ml: Any) -> Work:
    """A claimed scoring job."""
    job_id = work.submit(database, utc_now, kinds.SCORE, ScoreParams())
    with database.write() as connection:
        job = jobs.claim_one(connection, job_id, worker="bench", now=iso(utc_now()))
    assert job is not None
    settings = Settings(_env_file=None, APP_ENV="test", DATABASE_PATH=database.path)  # type: ignore[call-arg]
    return Work(Environment(settings, database, ml, utc_now), job)


def batches_to_score(database: Database) -> list[scoring_run.Batch]:
    """Customers in a scoring run's batches, as the ML service takes them."""
    return list(scoring_run.batches_to_score(database, SCHEMA, partial(customers.to_score, SCHEMA, as_of=AS_OF)))


def unscored(path: Path) -> None:
    """Take every score out again, so that the next round finds what the first one found."""
    with closing(sqlite3.connect(path)) as raw:
        for table in ("published_run", "present_ranks", "score_bins", "ledger", "scoring_runs"):
            raw.execute(f"DELETE FROM {table}")
        raw.commit()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


Stored = dict[str, list[tuple[Any, ...]]]


def stored_rows(path: Path) -> Stored:
    """Rows that a run stored, by table, in the order they are written."""
    with closing(sqlite3.connect(path)) as raw:
        tables = ("ledger", "present_ranks")
        return {table: raw.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


def store_bare(path: Path, stored: Stored, chunk: int = 5_000) -> None:
    """The same rows by executemany, in the same transactions: what storing alone costs."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for pragma in PRAGMAS:
            raw.execute(f"PRAGMA {pragma}")
        raw.execute(
            "INSERT OR IGNORE INTO scoring_runs (id, kind, state, model_id, as_of, horizon_days, started_at)"
            " VALUES (?, 'full', 'running', 1, ?, 30, ?)", (stored["ledger"][0][0], AS_OF, NOW))  # fmt: skip
        for table, rows in stored.items():
            marks = ",".join("?" * len(rows[0]))
            for at in range(0, len(rows), chunk):
                raw.execute("BEGIN IMMEDIATE")
                raw.executemany(f"INSERT INTO {table} VALUES ({marks})", rows[at : at + chunk])
                raw.execute("COMMIT")


def interleaved(
    rounds: int, *sides: Callable[[], float], middle: Callable[[list[float]], Any] = np.median
) -> list[float]:
    """Each side's median (or other middle), the sides taking turns in an order that changes."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for k in random.sample(range(len(sides)), len(sides)):
            times[k].append(sides[k]())
    return [float(middle(each)) for each in times]

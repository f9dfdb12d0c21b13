"""ChurnModel: fit, predict, explain, save, load.

Law: one row and a million rows are scored by the same code and get the same answer to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import xgboost as xgb

from ml_service.arrays import Floats, Folds, Labels
from ml_service.data import hiding
from ml_service.data.feature_matrix import Matrix, PlainCells, columns_from_lists, learn_categories, to_matrix
from ml_service.data.splitting import customer_groups
from ml_service.model import artefacts, boosting, corrections
from ml_service.model.artefacts import library_versions, model_checksum
from ml_service.model.boosters import Trees
from ml_service.model.calibration import BetaCalibration, fit_beta
from ml_service.model.hyperparameter_search import PORTFOLIO, Progress, Rows, search
from ml_service.model.out_of_fold import KEYS_FILE, UNSEEN, SeenRows
from ml_service.model.predictions import Explanation, Scores
from ml_service.model.reasons import Points, to_points
from ml_service.model.signal_test import demand_signal, out_of_fold_signal
from ml_service.model.thresholds import best_f1_threshold, recall_threshold
from shared.contracts.api import TOP_REASONS, Cell
from shared.errors import CorruptModel
from shared.schema.features import Schema, schema_from_dict

Keys: TypeAlias = pa.Array | pa.ChunkedArray

#: Of the folder's layout; a model of another format is refused, not guessed at.
FORMAT = 1
#: Of a category: the commonest; the others are scored as missing.
MOST_LEVELS = 200
REPORT_FILE, PAGE_FILE = "report.json", "report.html"


class ChurnModel:
    """Probability of leaving within 30 days, calibrated and explained.

    Parameters
    ----------
    schema
        What the columns mean.
    version
        Such as 2.4.1.
    seed
        The same data and seed give the same model.
    threads
        Of xgboost, in fitting and in predicting; they change no result.
    """

    categories: dict[str, list[str]]
    trees: Trees
    calibration: BetaCalibration
    threshold: float
    balanced_threshold: float
    parameters: dict[str, Any]
    training: dict[str, Any]

    def __init__(self, schema: Schema, *, version: str, seed: int = 0, threads: int = 1) -> None:
        self.schema, self.version, self.seed, self.threads = schema, version, seed, threads
        self.seen: SeenRows | None = None
        self.report: dict[str, Any] | None = None
        self.report_page: bytes | None = None
        self.search: dict[str, Any] = {}

    def fit(
        self,
        features: pa.Table,
        label: Labels,
        *,
        row_keys: Keys | None = None,
        keep_folds: bool = False,
        trials: int = len(PORTFOLIO),
        time_budget_s: float | None = None,
        progress: Progress = lambda done, stage: None,
    ) -> Self:
        """Search a configuration by cross-validation, fit it to all rows, calibrate and choose the thresholds.

        Parameters
        ----------
        features
            As `feature_matrix.typed_columns` gives them.
        label
            1 where the customer left, shape (rows,).
        row_keys
            int64, one per customer: no fold parts the rows of a key. Rows without a key go by their values.
        keep_folds
            Keep the folds' boosters and the keys, so that these rows are later scored out of fold.
        trials, time_budget_s
            Of the search: so many configurations, fewer where the time is over before.

        Raises
        ------
        InsufficientData, NoSignal
        """
        keys = row_keys if row_keys is not None else pa.nulls(len(label), pa.int64())
        self.categories = learn_categories(self.schema, features, most=MOST_LEVELS)
        values = to_matrix(self.schema, self.categories, features).values
        rows = Rows(self.schema, values, label, customer_groups(keys, values))
        found = search(
            rows,
            trials=trials,
            time_budget_s=time_budget_s,
            seed=self.seed,
            threads=self.threads,
            progress=lambda done, stage: progress(0.9 * done, stage),
        )
        grown = found.cross_validation
        copies = len(label) / len(np.unique(rows.groups)) if keep_folds else 1.0
        signal = out_of_fold_signal(grown.margins, label, found.folds, alike=copies)
        demand_signal(signal, rows=len(label), leavers=int(label.sum()))
        progress(0.9, f"fitting {grown.rounds * found.bag} trees to {len(label):,} rows")
        threads = boosting.worthwhile_threads(len(label), self.threads)
        final = boosting.fit(
            self.schema, found.params, values, label, rounds=grown.rounds, bag=found.bag, threads=threads
        )
        kept = keep_folds and keys.null_count < len(keys)
        self.seen = SeenRows.of(keys, found.folds) if kept else None
        boosters = corrections.of_each([final, *(grown.boosters if kept else [])], found, rows, threads=threads)
        self.trees = self._trees(boosters[0], boosters[1:])
        self.parameters = {**found.params, "rounds": grown.rounds, "bag": found.bag}
        self.search = {**found.about, "out_of_fold_auc": signal.auc, "signal_z": signal.z}
        self.training = {"rows": len(label), "leavers": int(label.sum()), "prevalence": float(label.mean())}
        self.training["complete_features"] = hiding.complete_features(self.schema, values)
        self._calibrate(grown.margins, label)
        return self

    def _trees(self, final: xgb.Booster, folds: list[xgb.Booster]) -> Trees:
        return Trees(final, folds, feature_types=boosting.feature_types(self.schema), threads=self.threads)

    def _calibrate(self, margins: Floats, label: Labels) -> None:
        self.calibration = fit_beta(margins, label)
        probability = self.calibration(margins)
        self.threshold = best_f1_threshold(probability, label)
        self.balanced_threshold = recall_threshold(probability, label)

    def checksum(self) -> str:
        """SHA-256 of what decides a score: trees, categories, calibration and thresholds; no times, no version."""
        decides = [self.categories, self.calibration.as_dict(), self.threshold, self.balanced_threshold]
        return model_checksum(self.trees.files(), decides)

    @property
    def base_margin(self) -> float:
        """What the contributions are counted from, log-odds."""
        return self.trees.base_margin

    @property
    def base_probability(self) -> float:
        """What the points are counted from: the base margin, calibrated."""
        return float(self.calibration([self.base_margin])[0])

    def predict_proba(self, features: pa.Table, row_keys: Keys | None = None) -> Floats:
        """Probabilities of staying and of leaving, shape (rows, 2)."""
        leaving = self.predict(features, row_keys).probability
        return np.column_stack([1 - leaving, leaving])

    def predict(self, features: pa.Table, row_keys: Keys | None = None) -> Scores:
        """Score typed columns; a row that was in training by a booster that had not seen it."""
        matrix = to_matrix(self.schema, self.categories, features)
        folds = self._folds(len(matrix.values), row_keys)
        margin = self.trees.margins(matrix.values, folds)
        return self._scores(margin, self.calibration(margin), folds, matrix.unknown)

    def matrix_of_lists(self, columns: Mapping[str, Sequence[Cell]]) -> Matrix:
        """Columns that came as JSON lists. Raises InvalidInput."""
        return self._plain.read(columns) or to_matrix(
            self.schema, self.categories, columns_from_lists(self.schema, columns)
        )

    @cached_property
    def _plain(self) -> PlainCells:
        return PlainCells(self.schema, self.categories)

    def explain(self, features: pa.Table, row_keys: Keys | None = None, *, shown: int = TOP_REASONS) -> Explanation:
        """As `explain_rows`, of typed columns."""
        return self.explain_rows(to_matrix(self.schema, self.categories, features), row_keys, shown=shown)

    def explain_rows(self, matrix: Matrix, row_keys: Keys | None = None, *, shown: int = TOP_REASONS) -> Explanation:
        """Score and give reasons, largest first: exact path-dependent SHAP (Lundberg et al. 2020).

        Parameters
        ----------
        shown
            How many reasons a row gets; all there are where there are fewer.
        """
        folds = self._folds(len(matrix.values), row_keys)
        margin, probability = np.empty(len(folds)), np.empty(len(folds))
        points = Points.empty(len(folds), min(shown, len(self.schema.features)))
        base = self.base_probability
        for block in self.trees.contributions(matrix.values, folds):
            margin[block.rows] = block.margin
            probability[block.rows] = chance = self.calibration(block.margin)
            reasons = to_points(
                self.calibration,
                block.values,
                block.base_margin,
                chance,
                base,
                points.order.shape[1],
            )
            points.put(block.rows, reasons)
        return Explanation(self._scores(margin, probability, folds, matrix.unknown), points, base)

    def contributions(self, features: pa.Table, row_keys: Keys | None = None) -> Floats:
        """SHAP values in the schema's order, log-odds before calibration, shape (rows, features)."""
        matrix = to_matrix(self.schema, self.categories, features)
        all_rows = np.empty_like(matrix.values)
        for block in self.trees.contributions(matrix.values, self._folds(len(matrix.values), row_keys)):
            all_rows[block.rows] = block.values
        return all_rows

    def _folds(self, rows: int, row_keys: Keys | None) -> Folds:
        if self.seen is None or row_keys is None:
            return np.full(rows, UNSEEN, dtype=np.int8)
        return self.seen.fold_of(row_keys)

    def _scores(self, margin: Floats, probability: Floats, folds: Folds, unknown: dict[str, int]) -> Scores:
        label = (probability >= self.threshold).astype(np.int8)
        confidence = np.where(label == 1, probability, 1 - probability)
        return Scores(probability, confidence, label, margin, folds != UNSEEN, unknown)

    def save(self, folder: Path, *, about: Mapping[str, Any] | None = None, replace: bool = False) -> None:
        """Write the model's folder whole: trees in UBJSON, the rest in JSON, no pickle.

        Parameters
        ----------
        about
            Further plain values for the manifest, such as when and from what it was made.
        replace
            Put it in the place of a model that is there.

        Raises
        ------
        Conflict
            Where something is there already.
        """
        files = {**self.trees.files(), **(self.seen.files() if self.seen else {})}
        if self.report is not None:
            files[REPORT_FILE] = orjson.dumps(self.report, option=orjson.OPT_INDENT_2)
        if self.report_page is not None:
            files[PAGE_FILE] = self.report_page
        artefacts.write_folder(folder, {**(about or {}), **self._manifest()}, files, replace=replace)

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "model_version": self.version,
            "algorithm": "XGBoost",
            "schema": self.schema.as_dict(),
            "categories": self.categories,
            "calibration": self.calibration.as_dict(),
            "threshold": self.threshold,
            "balanced_threshold": self.balanced_threshold,
            "base_margin": self.base_margin,
            "base_probability": self.base_probability,
            "model_sha256": self.checksum(),
            "parameters": self.parameters,
            "search": self.search,
            "seed": self.seed,
            "training": self.training,
            "libraries": library_versions(),
        }

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> Self:
        """Read a folder that `save` wrote, every file checked first.

        Raises
        ------
        CorruptModel
            Naming the file that is not what was saved.
        """
        about, files = artefacts.read_folder(folder)
        if about.get("format") != FORMAT:
            raise CorruptModel(f"Model {folder.name}: {artefacts.MANIFEST} is of a format this service does not read.")
        model = cls(
            schema_from_dict(about["schema"]), version=about["model_version"], seed=about["seed"], threads=threads
        )
        model.categories, model.parameters, model.training = about["categories"], about["parameters"], about["training"]
        model.search = about.get("search", {})
        model.threshold, model.balanced_threshold = about["threshold"], about["balanced_threshold"]
        model.calibration = BetaCalibration(**about["calibration"])
        types = boosting.feature_types(model.schema)
        model.trees = Trees.from_files(files, feature_types=types, threads=threads)
        model.seen = SeenRows.from_files(files) if KEYS_FILE in files else None
        model.report = orjson.loads(files[REPORT_FILE]) if REPORT_FILE in files else None
        model.report_page = files.get(PAGE_FILE)
        return model

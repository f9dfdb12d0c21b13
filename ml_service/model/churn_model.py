"""ChurnModel: fit, save and load; its base class `Predictor` scores and explains rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import pyarrow as pa

from ml_service.arrays import Floats, Labels
from ml_service.data import hiding
from ml_service.data.feature_matrix import learn_categories, to_matrix
from ml_service.data.splitting import customer_groups
from ml_service.model import artefacts, boosting, missing_features
from ml_service.model.artefacts import library_versions, model_checksum
from ml_service.model.boosters import Trees
from ml_service.model.calibration import BetaCalibration, fit_beta, shift_prior
from ml_service.model.hyperparameter_search import PORTFOLIO, Progress, SearchData, search
from ml_service.model.out_of_fold import KEYS_FILE, TrainingFolds
from ml_service.model.predictions import Keys, Predictor
from ml_service.model.signal_test import out_of_fold_signal, require_signal
from ml_service.model.thresholds import best_f1_threshold, recall_threshold
from shared.errors import CorruptModel
from shared.schema.features import Schema, schema_from_dict

#: Version of the folder's layout; a model of another format is refused.
FORMAT = 1
#: Only the most frequent values of a category are kept; the others count as missing.
MAX_CATEGORIES = 200
REPORT_FILE, PAGE_FILE = "report.json", "report.html"


class ChurnModel(Predictor):
    """A gradient-boosted classifier of customers who leave within 30 days, calibrated and explained.

    Parameters
    ----------
    schema : Schema
        Names, kinds and directions of the features.
    version : str
        For example ``"2.4.1"``.
    seed : int, default=0
        The same data, seed and number of trials give the same model.
    threads : int, default=1
        Threads of xgboost in fitting and in predicting; the result does not depend on them.
    without : collection of str, optional
        Features of the schema that the model does without.

    Attributes
    ----------
    table_schema : Schema
        The schema as given; `schema` has only the features that the model uses, `left_out` names the others.
    natural_rate : float or None
        The prevalence that probabilities and thresholds are shifted to; None if they are those of the training rows.
    balanced_threshold : float
        Threshold with an out-of-fold recall of 0.925.
    parameters : dict
        The chosen xgboost parameters, with the numbers of rounds and of boosters in the bag.
    training : dict
        Rows, leavers, prevalence and complete features of the training data.
    search : dict
        How the parameters were found.
    report : dict or None
        The training report.
    report_page : bytes or None
        The training report as an HTML page.

    See Also
    --------
    Predictor : The inherited attributes and the methods that score rows.

    References
    ----------
    Chen, Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016.
    """

    balanced_threshold: float
    parameters: dict[str, Any]
    training: dict[str, Any]

    def __init__(
        self, schema: Schema, *, version: str, seed: int = 0, threads: int = 1, without: Collection[str] = ()
    ) -> None:
        self.table_schema, self.schema = schema, schema.without(without)
        self.left_out = [name for name in schema.features if name not in self.schema.features]
        self.version, self.seed, self.threads = version, seed, threads
        self.natural_rate: float | None = None
        self.training_folds: TrainingFolds | None = None
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
        """Search the hyperparameters by cross-validation, fit to all rows, calibrate and choose the thresholds.

        Parameters
        ----------
        features : pyarrow.Table, n_rows rows
            The typed columns that `feature_matrix.typed_columns` returns.
        label : ndarray of int8, shape (n_rows,)
            1 for a leaver, 0 for a stayer.
        row_keys : pyarrow array of int64, length n_rows, optional
            Customer of each row; rows of one customer are never in different folds. Rows without a key (null) are
            grouped by their values.
        keep_folds : bool, default=False
            Keep the boosters of the folds and the keys, so that these rows are scored out of fold later.
        trials : int, default=4
            Number of configurations to try; the first four are the portfolio.
        time_budget_s : float, optional
            No trial begins after this many seconds; at least one runs.
        progress : callable, optional
            Called with the share of the work that is done, in [0, 1], and the name of the stage.

        Returns
        -------
        self : ChurnModel
            Fitted.

        Raises
        ------
        InsufficientData
            If the rows can't be split into folds with leavers and stayers in each.
        NoSignal
            If the features rank leavers no better than chance.
        """
        keys = row_keys if row_keys is not None else pa.nulls(len(label), pa.int64())
        self.categories = learn_categories(self.schema, features, most=MAX_CATEGORIES)
        values = to_matrix(self.schema, self.categories, features).values
        rows = SearchData(self.schema, values, label, customer_groups(keys, values))
        result = search(
            rows,
            trials=trials,
            time_budget_s=time_budget_s,
            seed=self.seed,
            threads=self.threads,
            progress=lambda done, stage: progress(0.9 * done, stage),
        )
        validation = result.cross_validation
        copies = len(label) / len(np.unique(rows.groups)) if keep_folds else 1.0
        signal = out_of_fold_signal(validation.margins, label, result.folds, copies=copies)
        require_signal(signal, rows=len(label), leavers=int(label.sum()))
        progress(0.9, f"fitting {validation.rounds * result.bag} trees to {len(label):,} rows")
        threads = boosting.worthwhile_threads(len(label), self.threads)
        final = boosting.fit(
            self.schema, result.params, values, label, rounds=validation.rounds, bag=result.bag, threads=threads
        )
        keeps_folds = keep_folds and keys.null_count < len(keys)
        self.training_folds = TrainingFolds.from_keys(keys, result.folds) if keeps_folds else None
        boosters = [final, *(validation.boosters if keeps_folds else [])]
        lacking = missing_features.grow(boosters, result, rows, threads=threads)
        types = boosting.feature_types(self.schema)
        self.trees = Trees(final, boosters[1:], feature_types=types, threads=self.threads, stand_ins=lacking)
        self.parameters = {**result.params, "rounds": validation.rounds, "bag": result.bag}
        self.search = {**result.summary, "out_of_fold_auc": signal.auc, "signal_z": signal.z}
        self.training = {"rows": len(label), "leavers": int(label.sum()), "prevalence": float(label.mean())}
        self.training["stand_ins"] = [self.schema.feature_names[feature] for feature in lacking]
        self.training["complete_features"] = hiding.complete_features(self.schema, values)
        self._calibrate(validation.margins, label)
        return self

    def _calibrate(self, margins: Floats, label: Labels) -> None:
        self.calibration = fit_beta(margins, label)
        probability = self.calibration(margins)
        self.threshold = best_f1_threshold(probability, label)
        self.balanced_threshold = recall_threshold(probability, label)

    def at_rate(self, natural: float | None) -> Self:
        """Return this model with its probabilities and thresholds at another prevalence; the ranking is the same.

        Parameters
        ----------
        natural : float or None
            Prevalence of the population, strictly between 0 and 1; None for that of the training rows.

        Returns
        -------
        model : ChurnModel
        """
        if natural == self.natural_rate:
            return self
        own = self.training["prevalence"]
        before, after = (rate or own for rate in (self.natural_rate, natural))
        other = copy(self)
        other.natural_rate = natural
        other.calibration = self.calibration.shifted(cohort=before, natural=after)
        thresholds = shift_prior([self.threshold, self.balanced_threshold], cohort=before, natural=after)
        other.threshold, other.balanced_threshold = (float(each) for each in thresholds)
        return other

    def checksum(self) -> str:
        """Return the SHA-256 of everything a score depends on: trees, categories, calibration and thresholds."""
        score_settings = [self.categories, self.calibration.as_dict(), self.threshold, self.balanced_threshold]
        return model_checksum(self.trees.files(), score_settings)

    def save(self, folder: Path, *, about: Mapping[str, Any] | None = None, replace: bool = False) -> None:
        """Write the model to a folder: the trees in UBJSON, everything else in JSON, no pickle.

        Parameters
        ----------
        folder : Path
            It appears complete or not at all.
        about : mapping, optional
            Further JSON values for the manifest, such as when the model was made and from which data.
        replace : bool, default=False
            Replace a model in the folder.

        Raises
        ------
        Conflict
            If the folder exists and `replace` is false, or if it holds anything but a model.
        """
        artefacts.write_folder(folder, {**(about or {}), **self.manifest()}, self.files(), replace=replace)

    def files(self) -> dict[str, bytes]:
        """The files of the model by name, without the manifest."""
        files = {**self.trees.files(), **(self.training_folds.files() if self.training_folds else {})}
        if self.report is not None:
            files[REPORT_FILE] = orjson.dumps(self.report, option=orjson.OPT_INDENT_2)
        if self.report_page is not None:
            files[PAGE_FILE] = self.report_page
        return files

    def manifest(self) -> dict[str, Any]:
        """Everything about the model that is not in its files, as JSON values."""
        return {
            "format": FORMAT,
            "model_version": self.version,
            "algorithm": "XGBoost",
            "schema": self.table_schema.as_dict(),
            "left_out": self.left_out,
            "natural_rate": self.natural_rate,
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
        """Read a model from a folder that `save` wrote, after verifying every file.

        Parameters
        ----------
        folder : Path
            Folder of one model version.
        threads : int, default=1
            Threads of xgboost.

        Returns
        -------
        model : ChurnModel

        Raises
        ------
        CorruptModel
            If a file is missing or is not the one that was saved; the message names it.
        """
        manifest, files = artefacts.read_folder(folder)
        if manifest.get("format") != FORMAT:
            raise CorruptModel(f"Model {folder.name}: {artefacts.MANIFEST} has a format that this service can't read.")
        return cls.from_files(manifest, files, threads=threads)

    @classmethod
    def from_files(cls, manifest: Mapping[str, Any], files: Mapping[str, bytes], *, threads: int = 1) -> Self:
        """Make the model whose `manifest` and `files` these are; nothing is verified."""
        model = cls(
            schema_from_dict(manifest["schema"]),
            version=manifest["model_version"],
            seed=manifest["seed"],
            threads=threads,
            without=manifest.get("left_out", ()),
        )
        model.natural_rate = manifest.get("natural_rate")
        model.categories, model.parameters, model.training = (
            manifest["categories"],
            manifest["parameters"],
            manifest["training"],
        )
        model.search = manifest.get("search", {})
        model.threshold, model.balanced_threshold = manifest["threshold"], manifest["balanced_threshold"]
        model.calibration = BetaCalibration(**manifest["calibration"])
        types = boosting.feature_types(model.schema)
        model.trees = Trees.from_files(files, feature_types=types, threads=threads)
        model.training_folds = TrainingFolds.from_files(files) if KEYS_FILE in files else None
        model.report = orjson.loads(files[REPORT_FILE]) if REPORT_FILE in files else None
        model.report_page = files.get(PAGE_FILE)
        return model

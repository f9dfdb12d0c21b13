"""ChurnModel: fits a model, and fits the chosen configuration again to all rows.

Law: calibration, thresholds and the number of trees come from out-of-fold margins of the rows that are fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Self

import numpy as np
import pyarrow as pa

from ml_service.arrays import Dates, Floats, Labels
from ml_service.data import hiding
from ml_service.data.feature_matrix import learn_categories, to_matrix
from ml_service.data.grouping import customer_groups
from ml_service.data.year_levels import levels
from ml_service.model import missing_features
from ml_service.model.calibration import fit_beta, shift_prior
from ml_service.model.cross_validation import SearchData, SearchResult, cross_validate
from ml_service.model.hyperparameter_search import PORTFOLIO, Progress, search
from ml_service.model.out_of_fold import TrainingFolds
from ml_service.model.predictions import Keys
from ml_service.model.saved_model import SavedModel
from ml_service.model.signal_test import out_of_fold_signal, require_signal
from ml_service.model.thresholds import best_f1_threshold, recall_threshold
from ml_service.model.trees import boosting
from ml_service.model.trees.boosters import Trees
from shared.contracts.api import TimeOfYear

#: Only the most frequent values of a category are kept; the others count as missing.
MAX_CATEGORIES = 200


class ChurnModel(SavedModel):
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

    See Also
    --------
    SavedModel : The inherited attributes; saves and loads.
    Predictor : The methods that score rows.

    References
    ----------
    Chen, Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016.
    """

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
        rows, keys = self._rows(features, label, row_keys)
        result = search(
            rows,
            trials=trials,
            time_budget_s=time_budget_s,
            seed=self.seed,
            threads=self.threads,
            progress=lambda done, stage: progress(0.9 * done, stage),
        )
        copies = len(label) / len(np.unique(rows.groups)) if keep_folds else 1.0
        signal = out_of_fold_signal(result.cross_validation.margins, label, result.folds, copies=copies)
        require_signal(signal, rows=len(label), leavers=int(label.sum()), dated=not keep_folds)
        self._fit_all(rows, result, keys if keep_folds else None, lambda stage: progress(0.9, stage))
        self.search = {**result.summary, "out_of_fold_auc": signal.auc, "signal_z": signal.z}
        return self

    def refit(
        self,
        features: pa.Table,
        label: Labels,
        *,
        row_keys: Keys | None = None,
        keep_folds: bool = False,
        progress: Progress = lambda done, stage: None,
    ) -> Self:
        """Fit a new model of the chosen configuration to other rows: all whose outcome is known.

        The base parameters are those of a table of this size, with the changes that the search chose. The number of
        trees, the calibration and the thresholds come from a cross-validation of these rows.

        Parameters
        ----------
        features, label, row_keys, keep_folds, progress
            As in `fit`.

        Returns
        -------
        model : ChurnModel
            Fitted, with this model as its `sibling`.

        Raises
        ------
        InsufficientData
            If the rows can't be split into folds with leavers and stayers in each.
        """
        model = type(self)(
            self.table_schema, version=self.version, seed=self.seed, threads=self.threads, without=self.left_out
        )
        rows, keys = model._rows(features, label, row_keys)
        base = boosting.parameters(self.schema, rows=len(label), leavers=int(label.sum()), seed=self.seed)
        params = {**base, **self.search["changes"]}
        result = cross_validate(rows, params, bag=self.parameters["bag"], threads=self.threads, progress=progress)
        model._fit_all(rows, result, keys if keep_folds else None, lambda stage: progress(0.6, stage))
        model.search, model.sibling = self.search, self
        return model

    def _rows(self, features: pa.Table, label: Labels, row_keys: Keys | None) -> tuple[SearchData, Keys]:
        """Learn the categories of rows, and return the rows for the search with their keys."""
        keys = row_keys if row_keys is not None else pa.nulls(len(label), pa.int64())
        self.categories = learn_categories(self.schema, features, most=MAX_CATEGORIES)
        values = to_matrix(self.schema, self.categories, features).values
        return SearchData(self.schema, values, label, customer_groups(keys, values)), keys

    def _fit_all(
        self, rows: SearchData, result: SearchResult, keys: Keys | None, progress: Callable[[str], None]
    ) -> None:
        """Fit the configuration to all rows, calibrate it and choose the thresholds; with keys, keep the folds."""
        validation, label = result.cross_validation, rows.label
        progress(f"fitting {validation.rounds * result.bag} trees to {len(label):,} rows")
        threads = boosting.worthwhile_threads(len(label), self.threads)
        final = boosting.fit(
            self.schema, result.params, rows.values, label, rounds=validation.rounds, bag=result.bag, threads=threads
        )
        keeps_folds = keys is not None and keys.null_count < len(keys)
        self.training_folds = TrainingFolds.from_keys(keys, result.folds) if keeps_folds else None
        boosters = [final, *(validation.boosters if keeps_folds else [])]
        lacking = missing_features.grow(boosters, result, rows, threads=threads)
        types = boosting.feature_types(self.schema)
        self.trees = Trees(final, boosters[1:], feature_types=types, threads=self.threads, stand_ins=lacking)
        self.parameters = {**result.params, "rounds": validation.rounds, "bag": result.bag}
        self.training = {"rows": len(label), "leavers": int(label.sum()), "prevalence": float(label.mean())}
        self.training["stand_ins"] = [self.schema.feature_names[feature] for feature in lacking]
        self.training["complete_features"] = hiding.complete_features(self.schema, rows.values)
        self._calibrate(validation.margins, label)

    def _calibrate(self, margins: Floats, label: Labels) -> None:
        self.out_of_fold_margins, self.calibration = margins, fit_beta(margins, label)
        self._choose_thresholds(self.calibration(margins), label)

    def _choose_thresholds(self, probability: Floats, label: Labels) -> None:
        self.threshold = best_f1_threshold(probability, label)
        self.balanced_threshold = recall_threshold(probability, label)

    def with_time_of_year(self, year: TimeOfYear, label: Labels, as_of: Dates) -> Self:
        """Return this model with a level of the time of year, and the thresholds that suit it.

        Parameters
        ----------
        year : TimeOfYear
        label : ndarray of int8, shape (n_rows,)
            Labels of the rows that were fitted, in their order.
        as_of : ndarray of datetime64[D], shape (n_rows,)
            Their dates.

        Returns
        -------
        model : ChurnModel
        """
        assert self.out_of_fold_margins is not None
        other = copy(self)
        other.time_of_year = year
        level = levels(year, as_of, len(label))
        other._choose_thresholds(self.calibration(self.out_of_fold_margins, level), label)
        return other

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

"""Predictor: the scores of a fitted model and their reasons, row by row in the order of the request.

Law: a row gets the same answer to the bit, whether it is scored alone or among a million rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from ml_service.arrays import Dates, Flags, Floats, Folds, Labels
from ml_service.data.feature_matrix import Matrix, columns_from_lists, to_matrix
from ml_service.data.plain_cells import PlainCells
from ml_service.data.year_levels import levels
from ml_service.model.calibration import BetaCalibration
from ml_service.model.out_of_fold import UNSEEN, TrainingFolds
from ml_service.model.reasons import Points, to_points
from ml_service.model.trees.boosters import Trees
from shared.contracts.api import TOP_REASONS, Cell, TimeOfYear
from shared.schema.features import Schema

#: Customer keys of rows, int64; null for a row without a key.
Keys: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True)
class Scores:
    """Scores of rows.

    Attributes
    ----------
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.
    confidence : ndarray of float64, shape (n_rows,)
        Probability that `label` is right.
    label : ndarray of int8, shape (n_rows,)
        1 where the probability reaches the model's threshold.
    margin : ndarray of float64, shape (n_rows,)
        Log-odds before calibration.
    out_of_fold : ndarray of bool, shape (n_rows,)
        True where the row was in training and a fold's booster scored it.
    """

    probability: Floats
    confidence: Floats
    label: Labels
    margin: Floats
    out_of_fold: Flags


@dataclass(frozen=True)
class Explanation:
    """Scores with their reasons.

    Attributes
    ----------
    scores : Scores
    points : Points
    base_probability : float
        Probability that the points are added to.
    time_of_year : ndarray of float64, shape (n_rows,)
        Points of the level of the row's date: the probability minus what it is without the level.
    """

    scores: Scores
    points: Points
    base_probability: float
    time_of_year: Floats


class Predictor:
    """Scores and explains rows by the trees, the calibration and the threshold of a fitted model.

    Attributes
    ----------
    schema : Schema
        Names, kinds and directions of the features.
    categories : dict of str to list of str
        The values of each category in the model, sorted.
    trees : Trees
        The final booster and, if they were kept, those of the folds.
    calibration : BetaCalibration
        Maps margins to probabilities.
    threshold : float
        Decision threshold with the best F1 out of fold.
    training_folds : TrainingFolds or None
        The keys and folds of the training rows, if they were kept.
    time_of_year : TimeOfYear or None
        Level that the date of a row adds to its log-odds; None: nothing.
    """

    schema: Schema
    categories: dict[str, list[str]]
    trees: Trees
    calibration: BetaCalibration
    threshold: float
    training_folds: TrainingFolds | None
    time_of_year: TimeOfYear | None

    @property
    def base_margin(self) -> float:
        """Margin that the SHAP values of the final booster are added to, in log-odds."""
        return self.trees.base_margin

    @property
    def base_probability(self) -> float:
        """Probability that the points of the reasons are added to: the calibrated base margin."""
        return float(self.calibration([self.base_margin])[0])

    def predict_proba(self, features: pa.Table, row_keys: Keys | None = None) -> Floats:
        """Predict the probabilities of staying and of leaving.

        Parameters
        ----------
        features : pyarrow.Table, n_rows rows
            The typed columns that `feature_matrix.typed_columns` returns.
        row_keys : pyarrow array of int64, length n_rows, optional
            Rows that were in training are scored out of fold if the model kept its folds.

        Returns
        -------
        probabilities : ndarray of float64, shape (n_rows, 2)
        """
        probability = self.predict(features, row_keys).probability
        return np.column_stack([1 - probability, probability])

    def predict(self, features: pa.Table, row_keys: Keys | None = None, as_of: Dates | None = None) -> Scores:
        """Score rows; training rows are scored out of fold if the model kept its folds.

        Parameters
        ----------
        features : pyarrow.Table, n_rows rows
            The typed columns that `feature_matrix.typed_columns` returns.
        row_keys : pyarrow array of int64, length n_rows, optional
            Without it, every row is scored by the final booster.
        as_of : ndarray of datetime64[D], shape (n_rows,), optional
            Date of each row, for the level of the time of year; without it, no level is added.

        Returns
        -------
        scores : Scores
        """
        matrix = to_matrix(self.schema, self.categories, features)
        folds = self._folds(len(matrix.values), row_keys)
        margin = self.trees.margins(matrix.values, folds)
        level = levels(self.time_of_year, as_of, len(folds))
        return self._scores(margin, self.calibration(margin, level), folds)

    def matrix_of_lists(self, columns: Mapping[str, Sequence[Cell]]) -> Matrix:
        """Convert columns of JSON values to the model's matrix.

        Parameters
        ----------
        columns : mapping of str to sequence of float, int, str, bool or None
            One sequence per feature, all of the same length.

        Returns
        -------
        matrix : Matrix

        Raises
        ------
        InvalidInput
            If a column is missing, unknown, of another length, or holds a wrong value.
        """
        return self._plain_cells.read(columns) or to_matrix(
            self.schema, self.categories, columns_from_lists(self.schema, columns)
        )

    @cached_property
    def _plain_cells(self) -> PlainCells:
        return PlainCells(self.schema, self.categories)

    def explain(
        self,
        features: pa.Table,
        row_keys: Keys | None = None,
        as_of: Dates | None = None,
        *,
        n_reasons: int = TOP_REASONS,
    ) -> Explanation:
        """Score rows and give the reasons; see `explain_rows`.

        Parameters
        ----------
        features : pyarrow.Table, n_rows rows
            The typed columns that `feature_matrix.typed_columns` returns.
        row_keys : pyarrow array of int64, length n_rows, optional
            Without it, every row is scored by the final booster.
        as_of : ndarray of datetime64[D], shape (n_rows,), optional
            Without it, no level is added.
        n_reasons : int, default=3
            Number of reasons per row, at most the number of features.

        Returns
        -------
        explanation : Explanation
        """
        matrix = to_matrix(self.schema, self.categories, features)
        return self.explain_rows(matrix, row_keys, as_of, n_reasons=n_reasons)

    def explain_rows(
        self,
        matrix: Matrix,
        row_keys: Keys | None = None,
        as_of: Dates | None = None,
        *,
        n_reasons: int = TOP_REASONS,
    ) -> Explanation:
        """Score rows and give the reasons, by exact path-dependent SHAP values.

        Parameters
        ----------
        matrix : Matrix
            As `feature_matrix.to_matrix` or `matrix_of_lists` returned it.
        row_keys : pyarrow array of int64, length n_rows, optional
            Without it, every row is scored by the final booster.
        as_of : ndarray of datetime64[D], shape (n_rows,), optional
            Date of each row, for the level of the time of year; without it, no level is added.
        n_reasons : int, default=3
            Number of reasons per row, at most the number of features.

        Returns
        -------
        explanation : Explanation
            Scores, and the reasons of each row in descending order of their size. The reasons explain the score without
            the level; `time_of_year` is the rest.

        References
        ----------
        Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature
        Machine Intelligence 2 (2020).
        """
        folds = self._folds(len(matrix.values), row_keys)
        margin, probability, without_level = np.empty(len(folds)), np.empty(len(folds)), np.empty(len(folds))
        level = levels(self.time_of_year, as_of, len(folds))
        has_level = level.any()
        points = Points.empty(len(folds), min(n_reasons, len(self.schema.features)))
        base = self.base_probability
        for block in self.trees.contributions(matrix.values, folds):
            margin[block.rows] = block.margin
            without_level[block.rows] = block_probability = self.calibration(block.margin)
            probability[block.rows] = (
                self.calibration(block.margin, level[block.rows]) if has_level else block_probability
            )
            reasons = to_points(
                self.calibration,
                block.values,
                block.base_margin,
                block_probability,
                base,
                points.order.shape[1],
            )
            points.put(block.rows, reasons)
        return Explanation(self._scores(margin, probability, folds), points, base, probability - without_level)

    def contributions(self, features: pa.Table, row_keys: Keys | None = None) -> Floats:
        """Compute the SHAP values of all features.

        Parameters
        ----------
        features : pyarrow.Table, n_rows rows
            The typed columns that `feature_matrix.typed_columns` returns.
        row_keys : pyarrow array of int64, length n_rows, optional
            Without it, every row is scored by the final booster.

        Returns
        -------
        contributions : ndarray of float64, shape (n_rows, n_features)
            In the order of the schema, in log-odds before calibration.
        """
        matrix = to_matrix(self.schema, self.categories, features)
        all_rows = np.empty_like(matrix.values)
        for block in self.trees.contributions(matrix.values, self._folds(len(matrix.values), row_keys)):
            all_rows[block.rows] = block.values
        return all_rows

    def _folds(self, rows: int, row_keys: Keys | None) -> Folds:
        if self.training_folds is None or row_keys is None:
            return np.full(rows, UNSEEN, dtype=np.int8)
        return self.training_folds.fold_of(row_keys)

    def _scores(self, margin: Floats, probability: Floats, folds: Folds) -> Scores:
        label = (probability >= self.threshold).astype(np.int8)
        confidence = np.where(label == 1, probability, 1 - probability)
        return Scores(probability, confidence, label, margin, folds != UNSEEN)

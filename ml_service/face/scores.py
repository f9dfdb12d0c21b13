"""Scores, reasons and the report of a fitted model, for rows in memory.

Law: rows are read, scored and explained by the functions that do it in the services.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ml_service.arrays import Dates, Flags, Floats
from ml_service.data.dataset import dates_of
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.year_levels import undated_rows
from ml_service.evaluation.fact_warnings import table_warnings
from ml_service.face import frames
from ml_service.face.classes import Classes
from ml_service.face.refusals import as_value_errors
from ml_service.model import churn_model
from ml_service.model.predictions import Keys
from shared.contracts.api import TOP_REASONS
from shared.schema.features import Schema
from shared.tables.batch_checks import LabelUse
from shared.tables.read import CustomerTable, read_table, row_keys


class FittedModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Scores and explains; its subclass fits, saves and loads.

    Attributes
    ----------
    model_ : ml_service.model.churn_model.ChurnModel or None
        The model of the services; None if there was none to be made.
    schema_ : Schema
        Meaning of the columns, as given or proposed.
    rate_ : float
        Share of leavers among the labelled rows.
    """

    model_: churn_model.ChurnModel | None
    schema_: Schema
    rate_: float
    _classes: Classes

    def __getstate__(self) -> dict[str, Any]:
        # Boosters hold locks, which can't be pickled: a model is its files.
        state = dict(super().__getstate__())
        model = state.get("model_")
        return state if model is None else {**state, "model_": (model.manifest(), model.files())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.get("model_") is not None:
            model = churn_model.ChurnModel.from_files(*state["model_"], threads=state["threads"], with_sibling=True)
            state = {**state, "model_": model}
        super().__setstate__(state)

    def predict_proba(self, X: Any) -> Floats:
        """Predict the probabilities of the two classes, in the order of `classes_`.

        Rows of training are scored out of fold if X has an id column and no dates, as the services score them.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n_rows, n_columns)
            The columns of `fit`; the label may be absent.

        Returns
        -------
        probabilities : ndarray of float64, shape (n_rows, 2)
        """
        leaving, _ = self._leaving(self._table(X))
        return self._classes.columns(leaving)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of each row, at the model's threshold (the best F1 out of fold) rather than at 0.5.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n_rows, n_columns)

        Returns
        -------
        labels : ndarray, shape (n_rows,)
            Values of `classes_`.
        """
        _, left = self._leaving(self._table(X))
        return self._classes.labels(left)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Share of the rows whose class is predicted; without y, X holds the label, and rows without one don't count.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n_rows, n_columns)
        y : array-like, shape (n_rows,), optional
        sample_weight : array-like, shape (n_rows,), optional
            Only with y.

        Returns
        -------
        accuracy : float
        """
        if y is not None:
            return float(super().score(X, y, sample_weight))
        table = self._table(X, label="required")
        return float(np.mean(self._leaving(table)[1] == (np.asarray(table.label) == 1)))

    def explain(self, X: Any, n_reasons: int = TOP_REASONS) -> pd.DataFrame:
        """Score rows and give the reasons, by exact SHAP values told in points of probability.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n_rows, n_columns)
        n_reasons : int, default=3
            Number of reasons per row, at most the number of features.

        Returns
        -------
        explanation : DataFrame, n_rows rows
            With the index of X: churn_probability, confidence, and for each reason k, the largest first, reason_k (the
            feature), points_k (by how much it changes the probability) and value_k (the value in this row); then
            time_of_year (by how much the row's date does), where the model has a level for the time of year.
        """
        table = self._table(X)
        model = self._made()
        features, keys, dates = self._rows(model, table)
        index = X.index if isinstance(X, pd.DataFrame) else None
        explained = model.explain(features, keys, dates, n_reasons=n_reasons)
        return frames.reasons_frame(features, explained, index, of_year=model.time_of_year is not None)

    @property
    def report(self) -> dict[str, Any]:
        """The report of the training, as the services give it."""
        return dict(self._made().report or {})

    def _made(self) -> churn_model.ChurnModel:
        check_is_fitted(self, "schema_")
        if self.model_ is None:
            # An AttributeError too: whoever lists the attributes of an estimator reads `report`.
            raise NotFittedError("No model was made of these rows: there is nothing but the share of leavers (rate_).")
        return self.model_

    def _frame(self, X: Any, label: str | None, *, reset: bool) -> pd.DataFrame:
        """X as a frame with names, once its columns, without the label, are those of `fit`."""
        frame = X
        if not isinstance(X, pd.DataFrame):
            frame = pd.DataFrame(check_array(X, dtype=None, ensure_all_finite="allow-nan", estimator=self))
        if reset or hasattr(self, "n_features_in_"):
            without = frame if label is None else frame.drop(columns=label, errors="ignore")
            validate_data(self, without, reset=reset, skip_check_array=True)
        return frames.named_columns(frame)

    def _table(self, X: Any, *, label: LabelUse = "ignored") -> CustomerTable:
        check_is_fitted(self, "schema_")
        frame = self._frame(X, self.schema_.label, reset=False)
        with as_value_errors(), frames.as_file(frame) as path:
            return read_table(path, self.schema_, label=label)

    def _leaving(self, table: CustomerTable) -> tuple[Floats, Flags]:
        """The probability of leaving, and whether it reaches the threshold."""
        if self.model_ is None:
            return np.full(len(table.ids), self.rate_), np.full(len(table.ids), self.rate_ >= 0.5)
        scores = self.model_.predict(*self._rows(self.model_, table))
        return scores.probability, scores.label == 1

    def _rows(self, model: churn_model.ChurnModel, table: CustomerTable) -> tuple[pa.Table, Keys | None, Dates | None]:
        """The features, keys and dates of a table; warns of what training had for every row and these lack."""
        features, dates = typed_columns(model.schema, table.features), dates_of(table)
        for note in (*table_warnings(model, features), *undated_rows(model.time_of_year, dates, len(table.ids))):
            warnings.warn(note, stacklevel=4)
        # Without ids, the table holds row numbers instead, which are not keys.
        return features, None if table.schema.id is None else pa.array(row_keys(table.ids)), dates

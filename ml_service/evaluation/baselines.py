"""Baselines: simple models that are fitted on the same training rows and evaluated on the same test rows.

Law: a baseline that can't be fitted has null figures, and its note gives the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from ml_service import metrics
from ml_service.arrays import Floats, Labels
from shared.contracts.api import Baseline
from shared.schema.features import Schema


@dataclass(frozen=True)
class BaselineData:
    """Training and test rows, as matrices of the model.

    Attributes
    ----------
    schema : Schema
    levels : dict of str to list of str
        The values of each category, in the order of the codes.
    training : ndarray of float64, shape (n_training, n_features)
        Categories as codes, missing values as NaN.
    training_label : ndarray of int8, shape (n_training,)
        1 for a leaver, 0 for a stayer.
    test : ndarray of float64, shape (n_test, n_features)
        Encoded in the same way.
    test_label : ndarray of int8, shape (n_test,)
        1 for a leaver, 0 for a stayer.
    """

    schema: Schema
    levels: dict[str, list[str]]
    training: Floats
    training_label: Labels
    test: Floats
    test_label: Labels


def baselines(data: BaselineData) -> dict[str, Baseline]:
    """Fit and evaluate the constant rate, the best single rule, logistic regression, and v1.0.

    Parameters
    ----------
    data : BaselineData

    Returns
    -------
    baselines : dict of str to Baseline
        By the names constant, best_single_rule, logistic_regression and v1_0.
    """
    return {
        "constant": _constant(data),
        "best_single_rule": _single_rule(data),
        "logistic_regression": _logistic(data, data.schema.feature_names, "Logistic regression on all features"),
        "v1_0": _v1_0(data),
    }


def _evaluate(data: BaselineData, probability: Floats, note: str) -> Baseline:
    return Baseline(
        auc=metrics.auc(data.test_label, probability),
        log_loss=metrics.log_loss(data.test_label, probability),
        note=note,
    )


def _constant(data: BaselineData) -> Baseline:
    rate = float(data.training_label.mean())
    note = f"The churn rate of the training rows, {100 * rate:.2f} %, for every customer"
    return _evaluate(data, np.full(len(data.test), rate), note)


def _single_rule(data: BaselineData) -> Baseline:
    # The stumps are fitted one by one: a matrix with a column per category value could be far larger than the table.
    rules = [
        _Rule(position, name, column, level)
        for position, name in enumerate(data.schema.feature_names)
        for column, level in _rule_columns(data, position, name)
    ]
    best, stump, best_gain = None, None, 0.0
    for rule in rules:
        tree = DecisionTreeClassifier(max_depth=1, criterion="log_loss", random_state=0)
        tree.fit(rule.select(data.training), data.training_label)
        gain = _gain(tree)
        if gain > best_gain:
            best, stump, best_gain = rule, tree, gain
    if best is None or stump is None:
        rate = np.full(len(data.test), float(data.training_label.mean()))
        return _evaluate(data, rate, "No single feature separates leavers from stayers")
    label, threshold = data.schema.feature_label(best.name), float(stump.tree_.threshold[0])
    condition = f"{label} is {best.level}" if best.level is not None else f"{label} is at most {threshold:.6g}"
    return _evaluate(data, stump.predict_proba(best.select(data.test))[:, 1], f"The best single rule: {condition}")


def _gain(stump: DecisionTreeClassifier) -> float:
    tree = stump.tree_
    if tree.node_count == 1:
        return 0.0
    parts = tree.weighted_n_node_samples / tree.weighted_n_node_samples[0]
    return float(tree.impurity[0] - parts[1] * tree.impurity[1] - parts[2] * tree.impurity[2])


@dataclass(frozen=True)
class _Rule:
    """A candidate for the single rule: a number, or whether a category has a certain value."""

    position: int
    name: str
    column: _Column
    level: str | None

    def select(self, values: Floats) -> Floats:
        return self.column(values[:, self.position])[:, None]


def _rule_columns(data: BaselineData, position: int, name: str) -> list[tuple[_Column, str | None]]:
    if name not in data.levels:
        return [(_Column(None), None)]
    # Only the 50 most frequent values of a category are candidates.
    codes = data.training[:, position]
    commonest = np.argsort(-np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=1), kind="stable")[:50]
    return [(_Column(int(code)), level) for code in commonest for level in data.levels[name][code : code + 1]]


@dataclass(frozen=True)
class _Column:
    """Returns a number unchanged; for a category, 1 where it has this code, else 0."""

    code: int | None

    def __call__(self, values: Floats) -> Floats:
        return values if self.code is None else (values == self.code).astype(np.float64)


def _v1_0(data: BaselineData) -> Baseline:
    tenure, plan = data.schema.tenure_feature, data.schema.plan_feature
    if tenure is None or plan is None:
        absent = "tenure" if tenure is None else "plan"
        return Baseline(
            auc=None, log_loss=None, note=f"v1.0 needs tenure and plan; this schema names no {absent} feature"
        )
    names = " and ".join(data.schema.feature_label(name) for name in (tenure, plan))
    return _logistic(data, (tenure, plan), f"v1.0: logistic regression on {names}")


def _logistic(data: BaselineData, names: Sequence[str], note: str) -> Baseline:
    model = LogisticRegression(max_iter=1000)
    design = [_design(data, name) for name in names]
    model.fit(hstack([pair[0] for pair in design], format="csr"), data.training_label)
    probability = model.predict_proba(hstack([pair[1] for pair in design], format="csr"))[:, 1]
    return _evaluate(data, probability, note)


def _design(data: BaselineData, name: str) -> tuple[csr_array, csr_array]:
    """The columns of a feature for training and test rows; sparse, since indicators are mostly 0."""
    position = data.schema.feature_names.index(name)
    training, test = data.training[:, position], data.test[:, position]
    if name in data.levels:
        return _levels(training, len(data.levels[name])), _levels(test, len(data.levels[name]))
    known = training[~np.isnan(training)]
    mean, scale = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
    return _standardised(training, mean, scale), _standardised(test, mean, scale)


def _levels(codes: Floats, levels: int) -> csr_array:
    """One indicator column per category value, all 0 where the value is missing or new."""
    rows = np.flatnonzero(~np.isnan(codes))
    return csr_array((np.ones(len(rows)), (rows, codes[rows].astype(np.int64))), shape=(len(codes), levels))


def _standardised(values: Floats, mean: float, scale: float) -> csr_array:
    """The standardised number, 0 where it is missing, and an indicator of missing values."""
    missing = np.isnan(values)
    return csr_array(np.column_stack([np.where(missing, 0.0, (values - mean) / scale), missing]))

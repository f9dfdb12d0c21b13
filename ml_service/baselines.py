"""Simple things that a model has to beat, fitted on the same training rows, judged on the same test rows.

Law: a baseline that can't be made says so in its note; its figures are null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from ml_service import metrics
from shared.contracts import Baseline
from shared.features import Schema

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Sides:
    """The model's matrix and labels of both sides of the split.

    Attributes
    ----------
    training, test
        Shape (rows, features), as `matrix.to_matrix` gives them: categories as codes, missing as NaN.
    levels
        Feature to its categories, in the order of the codes.
    """

    schema: Schema
    levels: dict[str, list[str]]
    training: Floats
    training_label: Labels
    test: Floats
    test_label: Labels


def baselines(sides: Sides) -> dict[str, Baseline]:
    """Constant rate, best single rule, logistic regression, and v1.0."""
    return {
        "constant": _constant(sides),
        "best_single_rule": _single_rule(sides),
        "logistic_regression": _logistic(sides, sides.schema.feature_names, "Logistic regression on all features"),
        "v1_0": _v1_0(sides),
    }


def _judged(sides: Sides, probability: Floats, note: str) -> Baseline:
    return Baseline(
        auc=metrics.auc(sides.test_label, probability),
        log_loss=metrics.log_loss(sides.test_label, probability),
        note=note,
    )


def _constant(sides: Sides) -> Baseline:
    rate = float(sides.training_label.mean())
    return _judged(sides, np.full(len(sides.test), rate), f"Everybody gets the training rows' rate, {rate:.4f}")


def _single_rule(sides: Sides) -> Baseline:
    names, training, test = [], [], []
    for position, name in enumerate(sides.schema.feature_names):
        for column, level in _rule_columns(sides, position, name):
            names.append((name, level))
            training.append(column(sides.training[:, position]))
            test.append(column(sides.test[:, position]))
    tree = DecisionTreeClassifier(max_depth=1, criterion="log_loss", random_state=0)
    tree.fit(np.column_stack(training), sides.training_label)
    probability = tree.predict_proba(np.column_stack(test))[:, 1]
    if tree.tree_.node_count == 1:
        return _judged(sides, probability, "No single feature parts leavers from stayers")
    name, level = names[int(tree.tree_.feature[0])]
    cut = float(tree.tree_.threshold[0])
    label = sides.schema.feature_label(name)
    rule = f"{label} is {level}" if level is not None else f"{label} at most {cut:.6g}"
    return _judged(sides, probability, f"One question, fitted: {rule}?")


def _rule_columns(sides: Sides, position: int, name: str) -> list[tuple[_Column, str | None]]:
    if name not in sides.levels:
        return [(_Column(None), None)]
    # A category of hundreds of values offers a rule for each of the commonest only.
    codes = sides.training[:, position]
    commonest = np.argsort(-np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=1), kind="stable")[:50]
    return [(_Column(int(code)), level) for code in commonest for level in sides.levels[name][code : code + 1]]


@dataclass(frozen=True)
class _Column:
    """A number as it is, or whether a category is this one."""

    code: int | None

    def __call__(self, values: Floats) -> Floats:
        return values if self.code is None else (values == self.code).astype(np.float64)


def _v1_0(sides: Sides) -> Baseline:
    tenure, plan = sides.schema.tenure_feature, sides.schema.plan_feature
    if tenure is None or plan is None:
        absent = "tenure" if tenure is None else "plan"
        return Baseline(
            auc=None, log_loss=None, note=f"v1.0 needs tenure and plan; this table names no {absent} feature"
        )
    names = " and ".join(sides.schema.feature_label(name) for name in (tenure, plan))
    return _logistic(sides, (tenure, plan), f"The first version: logistic regression on {names}")


def _logistic(sides: Sides, names: Sequence[str], note: str) -> Baseline:
    design = [_columns(sides, name) for name in names]
    training, test = (np.column_stack([pair[side] for pair in design]) for side in (0, 1))
    model = LogisticRegression(max_iter=1000)
    model.fit(training, sides.training_label)
    return _judged(sides, model.predict_proba(test)[:, 1], note)


def _columns(sides: Sides, name: str) -> tuple[Floats, Floats]:
    position = sides.schema.feature_names.index(name)
    training, test = sides.training[:, position], sides.test[:, position]
    if name in sides.levels:
        # One column per level; a missing or new value has none of them.
        codes = np.arange(len(sides.levels[name]))
        return (training[:, None] == codes).astype(np.float64), (test[:, None] == codes).astype(np.float64)
    known = training[~np.isnan(training)]
    middle, spread = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
    return _standardised(training, middle, spread), _standardised(test, middle, spread)


def _standardised(values: Floats, middle: float, spread: float) -> Floats:
    missing = np.isnan(values)
    return np.column_stack([np.where(missing, 0.0, (values - middle) / spread), missing.astype(np.float64)])

"""Simple things that a model has to beat, fitted on the same training rows, judged on the same test rows.

Law: a baseline that can't be made says so in its note; its figures are null.
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
class Sides:
    """The model's matrix and labels of both sides of the split.

    Attributes
    ----------
    training, test
        Shape (rows, features), as `feature_matrix.to_matrix` gives them: categories as codes, missing as NaN.
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
    # One stump after the other: all columns side by side, a column per level, would be many times the table.
    rules = [
        _Rule(position, name, column, level)
        for position, name in enumerate(sides.schema.feature_names)
        for column, level in _rule_columns(sides, position, name)
    ]
    best, stump, most = None, None, 0.0
    for rule in rules:
        tree = DecisionTreeClassifier(max_depth=1, criterion="log_loss", random_state=0)
        tree.fit(rule.of(sides.training), sides.training_label)
        gain = _gain(tree)
        if gain > most:
            best, stump, most = rule, tree, gain
    if best is None or stump is None:
        rate = np.full(len(sides.test), float(sides.training_label.mean()))
        return _judged(sides, rate, "No single feature parts leavers from stayers")
    label, cut = sides.schema.feature_label(best.name), float(stump.tree_.threshold[0])
    told = f"{label} is {best.level}" if best.level is not None else f"{label} at most {cut:.6g}"
    return _judged(sides, stump.predict_proba(best.of(sides.test))[:, 1], f"One question, fitted: {told}?")


def _gain(stump: DecisionTreeClassifier) -> float:
    tree = stump.tree_
    if tree.node_count == 1:
        return 0.0
    parts = tree.weighted_n_node_samples / tree.weighted_n_node_samples[0]
    return float(tree.impurity[0] - parts[1] * tree.impurity[1] - parts[2] * tree.impurity[2])


@dataclass(frozen=True)
class _Rule:
    """A column that a question may be asked of: a number, or whether a category is this level."""

    position: int
    name: str
    column: _Column
    level: str | None

    def of(self, values: Floats) -> Floats:
        return self.column(values[:, self.position])[:, None]


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
    model = LogisticRegression(max_iter=1000)
    design = [_design(sides, name) for name in names]
    model.fit(hstack([pair[0] for pair in design], format="csr"), sides.training_label)
    probability = model.predict_proba(hstack([pair[1] for pair in design], format="csr"))[:, 1]
    return _judged(sides, probability, note)


def _design(sides: Sides, name: str) -> tuple[csr_array, csr_array]:
    """A feature's columns of either side, of which only what is not zero takes room: most of a level's column is."""
    position = sides.schema.feature_names.index(name)
    training, test = sides.training[:, position], sides.test[:, position]
    if name in sides.levels:
        return _levels(training, len(sides.levels[name])), _levels(test, len(sides.levels[name]))
    known = training[~np.isnan(training)]
    middle, spread = (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
    return _standardised(training, middle, spread), _standardised(test, middle, spread)


def _levels(codes: Floats, levels: int) -> csr_array:
    """One column per level; a missing or new value has none of them."""
    rows = np.flatnonzero(~np.isnan(codes))
    return csr_array((np.ones(len(rows)), (rows, codes[rows].astype(np.int64))), shape=(len(codes), levels))


def _standardised(values: Floats, middle: float, spread: float) -> csr_array:
    """The number, 0 where it is missing, and whether it is."""
    missing = np.isnan(values)
    return csr_array(np.column_stack([np.where(missing, 0.0, (values - middle) / spread), missing]))

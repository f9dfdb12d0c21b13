"""The leak guard: refuses features that alone give the outcome away.

Law: training is refused with the name of each such feature and the evidence; a feature that is allowed by name is
listed in the report.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from ml_service import metrics
from ml_service.arrays import Floats, Folds, Ints, Labels
from ml_service.data.splitting import FOLDS, stratified_group_folds
from shared.errors import Detail, InvalidInput, LeakFound
from shared.schema.features import Schema

#: A single feature with a higher AUC is a leak.
HIGHEST_AUC = 0.92
#: A value that leavers lack this many times as often as stayers was probably emptied when they left.
MISSING_RATIO = 5.0
#: A value that leavers have this many times as often as stayers was probably filled in when they left. The limit is
#: higher, because a rare event before the end can be recorded in the same way.
PRESENT_RATIO = 20.0
#: A ratio counts only if at least this many leavers lack, or have, the value.
MIN_LEAVERS = 10
#: Larger tables are sampled.
MAX_ROWS = 60_000
#: Pseudo-rows of the overall rate that are added to each category value.
SMOOTHING = 10.0


@dataclass(frozen=True)
class Leak:
    """A feature that gives the outcome away.

    Attributes
    ----------
    name : str
    evidence : str
        A sentence with the figures.
    """

    name: str
    evidence: str


def guard(
    schema: Schema, values: Floats, label: Labels, groups: Ints, *, allowed: Collection[str], seed: int
) -> list[Leak]:
    """Check each feature on its own and refuse to train on one that gives the outcome away.

    Parameters
    ----------
    schema : Schema
    values : ndarray of float64, shape (n_rows, n_features)
        Matrix of the training rows.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    groups : ndarray of int64, shape (n_rows,)
        Rows of one group share their fold.
    allowed : collection of str
        Features that are accepted even if they are leaks.
    seed : int

    Returns
    -------
    leaks : list of Leak
        Leaks among the allowed features.

    Raises
    ------
    InvalidInput
        If `allowed` names something that is not a feature.
    LeakFound
        If a feature that is not allowed is a leak; with one detail per feature.
    """
    unknown = sorted(set(allowed) - set(schema.feature_names))
    if unknown:
        raise InvalidInput(f"--allow-leak: there is no feature named {unknown[0]}.")
    leaks = find_leaks(schema, values, label, groups, seed=seed)
    refused = [leak for leak in leaks if leak.name not in allowed]
    if refused:
        details: list[Detail] = [{"field": leak.name, "message": leak.evidence} for leak in refused]
        names = ", ".join(leak.name for leak in refused)
        raise LeakFound(
            f"{names}: probably written after the outcome was known. {refused[0].name}: {refused[0].evidence} "
            f"Remove it from the schema's features, or allow it by name (--allow-leak {refused[0].name}).",
            details=details,
        )
    return leaks


def find_leaks(schema: Schema, values: Floats, label: Labels, groups: Ints, *, seed: int) -> list[Leak]:
    """Find the features that alone give the outcome away.

    Parameters
    ----------
    schema : Schema
    values : ndarray of float64, shape (n_rows, n_features)
        Matrix of the training rows.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    groups : ndarray of int64, shape (n_rows,)
        Rows of one group share their fold.
    seed : int

    Returns
    -------
    leaks : list of Leak
        In the order of the schema.
    """
    rows = _sample(label, seed)
    label, groups = label[rows], groups[rows]
    folds = stratified_group_folds(groups, label, FOLDS, seed)
    leaks = []
    for position, (name, feature) in enumerate(schema.features.items()):
        column = values[rows, position]
        evidence = _evidence_of_missingness(column, label) or _evidence_of_auc(
            column, label, folds, feature.kind == "category"
        )
        if evidence is not None:
            leaks.append(Leak(name, evidence))
    return leaks


def _sample(label: Labels, seed: int) -> Ints:
    if len(label) <= MAX_ROWS:
        return np.arange(len(label))
    rng = np.random.default_rng(seed)
    # If leavers are rare, they get up to a quarter of the sample, so that enough of them remain.
    leavers, stayers = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    few = min(len(leavers), max(MAX_ROWS // 4, round(MAX_ROWS * len(leavers) / len(label))))
    rest = min(len(stayers), MAX_ROWS - few)
    return np.sort(np.concatenate([rng.choice(leavers, few, replace=False), rng.choice(stayers, rest, replace=False)]))


def _evidence_of_missingness(column: Floats, label: Labels) -> str | None:
    missing = np.isnan(column)
    leavers, stayers = int(label.sum()), int(len(label) - label.sum())
    missing_leavers, missing_stayers = int(missing[label == 1].sum()), int(missing[label == 0].sum())
    if missing_leavers >= MIN_LEAVERS and missing_leavers / leavers >= MISSING_RATIO * missing_stayers / stayers:
        shares = _shares(missing_leavers / leavers, missing_stayers / stayers)
        return f"missing for {shares} (at least {MISSING_RATIO:g} times as often)."
    present_leavers, present_stayers = leavers - missing_leavers, stayers - missing_stayers
    if present_leavers >= MIN_LEAVERS and present_leavers / leavers >= PRESENT_RATIO * present_stayers / stayers:
        shares = _shares(present_leavers / leavers, present_stayers / stayers)
        return f"filled in for {shares} (at least {PRESENT_RATIO:g} times as often)."
    return None


def _shares(of_leavers: float, of_stayers: float) -> str:
    return f"{100 * of_leavers:.1f} % of leavers and {100 * of_stayers:.1f} % of stayers"


def _evidence_of_auc(column: Floats, label: Labels, folds: Folds, category: bool) -> str | None:
    auc = single_feature_auc(column, label, folds, category=category)
    if auc is None or auc <= HIGHEST_AUC:
        return None
    return f"alone, it reaches an AUC of {auc:.3f} out of fold (more than {HIGHEST_AUC:g})."


def single_feature_auc(column: Floats, label: Labels, folds: Folds, *, category: bool) -> float | None:
    """Cross-validate a small decision tree on one column.

    Parameters
    ----------
    column : ndarray of float64, shape (n_rows,)
        Numbers or category codes, NaN where missing.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    folds : ndarray of int8, shape (n_rows,)
        The fold that holds out each row.
    category : bool
        Whether the column holds category codes.

    Returns
    -------
    auc : float or None
        Mean over the folds; None if no fold has both classes.
    """
    aucs = []
    for number in range(int(folds.max()) + 1):
        training = folds != number
        if not metrics.both_classes(label[training]) or not metrics.both_classes(label[~training]):
            continue
        training_column, test_column = column[training], column[~training]
        if category:
            rates = _rates(training_column, label[training])
            training_column, test_column = _encode(training_column, rates), _encode(test_column, rates)
        tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=max(5, int(training.sum()) // 500), random_state=0)
        tree.fit(training_column[:, None], label[training])
        aucs.append(metrics.auc(label[~training], tree.predict_proba(test_column[:, None])[:, 1]) or 0.5)
    return float(np.mean(aucs)) if aucs else None


def _rates(codes: Floats, label: Labels) -> Mapping[str, Floats]:
    """The smoothed churn rate of each category value, for target encoding; missing counts as a value."""
    overall = float(label.mean())
    levels = np.where(np.isnan(codes), -1, codes).astype(np.int64) + 1
    rows = np.bincount(levels)
    left = np.bincount(levels, weights=label)
    return {"rate": (left + SMOOTHING * overall) / (rows + SMOOTHING), "overall": np.array([overall])}


def _encode(codes: Floats, rates: Mapping[str, Floats]) -> Floats:
    levels = np.where(np.isnan(codes), -1, codes).astype(np.int64) + 1
    known = levels < len(rates["rate"])
    return np.where(known, rates["rate"][np.minimum(levels, len(rates["rate"]) - 1)], rates["overall"][0])

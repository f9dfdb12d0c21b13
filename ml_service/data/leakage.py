"""The leak guard: no feature may tell the outcome by itself.

Law: a training is refused by the name of each such feature, with the figures that say so; an override is named too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from ml_service import metrics
from ml_service.arrays import Floats, Folds, Ints, Labels
from ml_service.data.splitting import FOLDS, deal
from shared.errors import Detail, InvalidInput, LeakFound
from shared.schema.features import Schema

#: What one question about one honest feature does not reach.
HIGHEST_AUC = 0.92
#: Leavers lack the value so many times as often as stayers: it was overwritten or emptied when they left.
MISSING_RATIO = 5.0
#: The other way round: it is filled in when they leave. Asked more of, since a rare event may honestly be noted so.
PRESENT_RATIO = 20.0
#: Fewer than this many leavers prove no ratio.
LEAST_LEAVERS = 10
#: More rows tell no more.
MOST_ROWS = 60_000
#: A rate of fewer rows than this leans towards the overall one.
SMOOTHING = 10.0


@dataclass(frozen=True)
class Leak:
    """A feature and the figures against it."""

    name: str
    evidence: str


def guard(
    schema: Schema, values: Floats, label: Labels, groups: Ints, *, allowed: Collection[str], seed: int
) -> list[Leak]:
    """Judge each feature alone; what is found among `allowed` is returned, to stand in the report.

    Parameters
    ----------
    values
        The training rows' matrix (`feature_matrix.to_matrix`), shape (rows, features).
    groups
        Shape (rows,): rows of one value are one customer's and share a fold.

    Raises
    ------
    InvalidInput
        Where `allowed` names what is no feature.
    LeakFound
        With one detail per feature that is not allowed.
    """
    strangers = sorted(set(allowed) - set(schema.feature_names))
    if strangers:
        raise InvalidInput(f"--allow-leak: there is no feature {strangers[0]}.")
    found = find_leaks(schema, values, label, groups, seed=seed)
    refused = [leak for leak in found if leak.name not in allowed]
    if refused:
        details: list[Detail] = [{"field": leak.name, "message": leak.evidence} for leak in refused]
        names = ", ".join(leak.name for leak in refused)
        raise LeakFound(
            f"{names}: probably written after the outcome was known. {refused[0].name}: {refused[0].evidence} "
            f"Take it out of the schema's features, or allow it by name (--allow-leak {refused[0].name}).",
            details=details,
        )
    return found


def find_leaks(schema: Schema, values: Floats, label: Labels, groups: Ints, *, seed: int) -> list[Leak]:
    """Every feature that tells the outcome by itself, in the schema's order."""
    rows = _sample(label, seed)
    label, groups = label[rows], groups[rows]
    folds = deal(groups, label, FOLDS, seed)
    found = []
    for position, (name, feature) in enumerate(schema.features.items()):
        column = values[rows, position]
        evidence = _by_missingness(column, label) or _by_auc(column, label, folds, feature.kind == "category")
        if evidence is not None:
            found.append(Leak(name, evidence))
    return found


def _sample(label: Labels, seed: int) -> Ints:
    if len(label) <= MOST_ROWS:
        return np.arange(len(label))
    rng = np.random.default_rng(seed)
    # All classes keep at least a fair share: a rare one would otherwise be drawn too thin.
    leavers, stayers = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    few = min(len(leavers), max(MOST_ROWS // 4, round(MOST_ROWS * len(leavers) / len(label))))
    rest = min(len(stayers), MOST_ROWS - few)
    return np.sort(np.concatenate([rng.choice(leavers, few, replace=False), rng.choice(stayers, rest, replace=False)]))


def _by_missingness(column: Floats, label: Labels) -> str | None:
    missing = np.isnan(column)
    leavers, stayers = int(label.sum()), int(len(label) - label.sum())
    gone, stayed = int(missing[label == 1].sum()), int(missing[label == 0].sum())
    if gone >= LEAST_LEAVERS and gone / leavers >= MISSING_RATIO * stayed / stayers:
        told = f"missing for {100 * gone / leavers:.1f} % of leavers and {100 * stayed / stayers:.1f} % of stayers"
        return f"{told} (at least {MISSING_RATIO:g} times as often)."
    had, have = leavers - gone, stayers - stayed
    if had >= LEAST_LEAVERS and had / leavers >= PRESENT_RATIO * have / stayers:
        told = f"filled in for {100 * had / leavers:.1f} % of leavers and {100 * have / stayers:.1f} % of stayers"
        return f"{told} (at least {PRESENT_RATIO:g} times as often)."
    return None


def _by_auc(column: Floats, label: Labels, folds: Folds, category: bool) -> str | None:
    reached = alone(column, label, folds, category=category)
    if reached is None or reached <= HIGHEST_AUC:
        return None
    return f"alone, it reaches an AUC of {reached:.3f} out of fold (more than {HIGHEST_AUC:g})."


def alone(column: Floats, label: Labels, folds: Folds, *, category: bool) -> float | None:
    """AUC of one column by a small tree, missing values included, mean of the folds; None where none can be told."""
    reached = []
    for number in range(int(folds.max()) + 1):
        inside = folds != number
        if not metrics.both_classes(label[inside]) or not metrics.both_classes(label[~inside]):
            continue
        seen, unseen = column[inside], column[~inside]
        if category:
            rates = _rates(seen, label[inside])
            seen, unseen = _looked_up(seen, rates), _looked_up(unseen, rates)
        tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=max(5, int(inside.sum()) // 500), random_state=0)
        tree.fit(seen[:, None], label[inside])
        reached.append(metrics.auc(label[~inside], tree.predict_proba(unseen[:, None])[:, 1]) or 0.5)
    return float(np.mean(reached)) if reached else None


def _rates(codes: Floats, label: Labels) -> Mapping[str, Floats]:
    """Each level's churn rate: an order that a tree can cut. Missing is a level of its own."""
    overall = float(label.mean())
    levels = np.where(np.isnan(codes), -1, codes).astype(np.int64) + 1
    rows = np.bincount(levels)
    left = np.bincount(levels, weights=label)
    return {"rate": (left + SMOOTHING * overall) / (rows + SMOOTHING), "overall": np.array([overall])}


def _looked_up(codes: Floats, rates: Mapping[str, Floats]) -> Floats:
    levels = np.where(np.isnan(codes), -1, codes).astype(np.int64) + 1
    known = levels < len(rates["rate"])
    return np.where(known, rates["rate"][np.minimum(levels, len(rates["rate"]) - 1)], rates["overall"][0])

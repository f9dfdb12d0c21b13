"""The leak guard: refuses features that alone give the outcome away, and cautions about those that nearly do.

Law: training is refused with the name of each such feature and the evidence; a feature that is allowed by name, or that
the schema vouches for, is listed in the report.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from ml_service import metrics
from ml_service.arrays import Floats, Folds, Ints, Labels
from ml_service.data.leaks import Leak
from ml_service.data.splitting import FOLDS, stratified_group_folds
from shared.errors import Detail, InvalidInput, LeakFound
from shared.schema.features import Schema
from shared.wilson import Z95

#: A single feature with a higher AUC is a leak; in a table with dates, where facts are known to be earlier than the
#: outcome, it calls for a caution up to the second limit.
HIGHEST_AUC, HIGHEST_AUC_DATED = 0.92, 0.99
#: A value that leavers lack this many times as often as stayers was probably emptied when they left.
MISSING_RATIO = 5.0
#: A value that leavers have this many times as often as stayers was probably filled in when they left. The limit is
#: higher, because a rare event before the end can be recorded in the same way.
PRESENT_RATIO = 20.0
#: A ratio counts only if at least this many leavers lack, or have, the value.
MIN_LEAVERS = 10
#: Missing values tell enough to refuse if "is missing" has this AUC, or if they concern this share of the leavers.
TELLING_AUC, TELLING_SHARE = 0.75, 0.3
#: Category values with fewer training rows are one value: what each of them says alone is chance.
RARE_ROWS = 5
#: Larger tables are sampled.
MAX_ROWS = 60_000
#: Pseudo-rows of the overall rate that are added to each category value.
SMOOTHING = 10.0


def guard(
    schema: Schema,
    values: Floats,
    label: Labels,
    groups: Ints,
    *,
    allowed: Collection[str],
    seed: int,
    dated: bool = False,
    traces: Sequence[Leak] = (),
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
        Features that are accepted even if they are leaks, besides those that the schema vouches for.
    seed : int
    dated : bool, default=False
        Whether each row has a date: its facts then come from before the outcome.
    traces : sequence of Leak, optional
        Further findings (`leak_traces.find_traces`).

    Returns
    -------
    leaks : list of Leak
        Leaks among the accepted features, and cautions; one for each feature.

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
    leaks = _strongest((*find_leaks(schema, values, label, groups, seed=seed, dated=dated), *traces))
    accepted = {*allowed, *schema.vouched}
    refused = [leak for leak in leaks if leak.refuses and leak.name not in accepted]
    if refused:
        details: list[Detail] = [{"field": leak.name, "message": leak.evidence} for leak in refused]
        names = ", ".join(leak.name for leak in refused)
        first = f"{refused[0].name}: " if len(refused) > 1 else "Evidence: "
        raise LeakFound(
            f"{names}: probably written after the outcome was known. {first}{refused[0].evidence} "
            f"Leave it out of the model (`train --without {refused[0].name}`; `without` in the API). If it is known "
            "when customers are scored, vouch for it in the schema (`known_at_scoring = true`; `retainstream schema "
            f"edit FILE` for customers that are imported already), or allow it once (--allow-leak {refused[0].name}).",
            details=details,
        )
    return leaks


def _strongest(leaks: Sequence[Leak]) -> list[Leak]:
    """One finding for each feature: the first that refuses, or else the first.

    A feature is not accused of what it shows beside another one that is a leak alone.
    """
    alone = {leak.name for leak in leaks if leak.refuses and not leak.beside}
    found: dict[str, Leak] = {}
    for leak in (each for each in leaks if not alone.intersection(each.beside)):
        first = found.setdefault(leak.name, leak)
        if leak.refuses and not first.refuses:
            found[leak.name] = leak
        elif first.values is None and leak.values is not None:
            found[leak.name] = replace(first, values=leak.values)
    return list(found.values())


def find_leaks(
    schema: Schema, values: Floats, label: Labels, groups: Ints, *, seed: int, dated: bool = False
) -> list[Leak]:
    """Find the features that alone give the outcome away, or nearly do.

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
    dated : bool, default=False
        Whether each row has a date.

    Returns
    -------
    leaks : list of Leak
        In the order of the schema.
    """
    rows = sample_rows(label, seed)
    label, groups = label[rows], groups[rows]
    folds = stratified_group_folds(groups, label, FOLDS, seed)
    leaks = []
    for position, (name, feature) in enumerate(schema.features.items()):
        column = values[rows, position]
        found = _by_missingness(name, column, label)
        if found is None or not found.refuses:
            found = _by_auc(name, column, label, folds, category=feature.kind == "category", dated=dated) or found
        if found is not None:
            leaks.append(found)
    return leaks


def sample_rows(label: Labels, seed: int, most: int = MAX_ROWS) -> Ints:
    """Positions of at most so many rows, ascending, for a test that needs no more.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
    seed : int
    most : int, default=60000

    Returns
    -------
    rows : ndarray of int64
    """
    if len(label) <= most:
        return np.arange(len(label))
    rng = np.random.default_rng(seed)
    # If leavers are rare, they get up to a quarter of the sample, so that enough of them remain.
    leavers, stayers = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    few = min(len(leavers), max(most // 4, round(most * len(leavers) / len(label))))
    rest = min(len(stayers), most - few)
    return np.sort(np.concatenate([rng.choice(leavers, few, replace=False), rng.choice(stayers, rest, replace=False)]))


def _by_missingness(name: str, column: Floats, label: Labels) -> Leak | None:
    missing = np.isnan(column)
    for has, limit, what in ((missing, MISSING_RATIO, "missing"), (~missing, PRESENT_RATIO, "filled in")):
        leavers, stayers = has[label == 1], has[label == 0]
        share, share_of_stayers = float(leavers.mean()), float(stayers.mean())
        if leavers.sum() < MIN_LEAVERS or share < limit * share_of_stayers:
            continue
        tells = share >= TELLING_SHARE or 0.5 + (share - share_of_stayers) / 2 > TELLING_AUC
        evidence = f"{what} for {shares(share, share_of_stayers)} (at least {limit:g} times as often)."
        return Leak(name, evidence, refuses=bool(tells) and _lower_bound_of_ratio(leavers, stayers) > limit)
    return None


def _lower_bound_of_ratio(leavers: np.ndarray, stayers: np.ndarray) -> float:
    """Lower bound of the 95 % interval of the ratio of two shares (Katz et al., 1978); counts gain half a row."""
    a, c = leavers.sum() + 0.5, stayers.sum() + 0.5
    n, m = len(leavers) + 0.5, len(stayers) + 0.5
    error = np.sqrt(1 / a - 1 / n + 1 / c - 1 / m)
    return float(np.exp(np.log((a / n) / (c / m)) - Z95 * error))


def shares(of_leavers: float, of_stayers: float) -> str:
    """Two shares in words."""
    return f"{100 * of_leavers:.1f} % of leavers and {100 * of_stayers:.1f} % of stayers"


def _by_auc(name: str, column: Floats, label: Labels, folds: Folds, *, category: bool, dated: bool) -> Leak | None:
    auc = single_feature_auc(column, label, folds, category=category)
    if auc is None or auc <= HIGHEST_AUC:
        return None
    evidence = f"alone, it reaches an AUC of {auc:.3f} out of fold (more than {HIGHEST_AUC:g})."
    return Leak(name, evidence, refuses=not dated or auc > HIGHEST_AUC_DATED)


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
    """The smoothed churn rate of each category value, for target encoding; missing counts as a value.

    Values with few rows share one rate, which values that only the held-out rows have get as well.
    """
    overall = float(label.mean())
    levels = levels_of(codes)
    rows = np.bincount(levels)
    left = np.bincount(levels, weights=label)
    rare = rows < RARE_ROWS
    pooled = (left[rare].sum() + SMOOTHING * overall) / (rows[rare].sum() + SMOOTHING)
    rate = (left + SMOOTHING * overall) / (rows + SMOOTHING)
    return {"rate": np.where(rare, pooled, rate), "unseen": np.array([pooled])}


def _encode(codes: Floats, rates: Mapping[str, Floats]) -> Floats:
    levels = levels_of(codes)
    known = levels < len(rates["rate"])
    return np.where(known, rates["rate"][np.minimum(levels, len(rates["rate"]) - 1)], rates["unseen"][0])


def levels_of(codes: Floats) -> Ints:
    """Category codes from 1, with 0 for a missing value."""
    return np.where(np.isnan(codes), -1, codes).astype(np.int64) + 1

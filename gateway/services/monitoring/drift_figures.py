"""How scored rows differ from training rows of the same season: by feature, and all features together.

Law: effect sizes with their n, no p-values: with enough rows, every difference is significant. The worker runs this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Column = Floats | list[str | None]

#: Bins of a number: deciles of the training rows; values of a category that are kept apart.
DECILES, MAX_VALUES = 10, 20
#: Added to every bin's count, so that an empty one is finite.
SMOOTHING = 0.5
#: Features, those that tell the rows apart best alone, that tell them apart together; weight that holds them to 0.
TOGETHER, RIDGE = 20, 1.0
_ROUNDS = 25


@dataclass(frozen=True)
class FeatureDrift:
    """How the values of one feature differ.

    Attributes
    ----------
    psi
        Population stability index, a missing value being a bin of its own.
    auc
        AUC with which this feature alone tells scored from training rows, out of fold; 0.5: not at all.
    missing, missing_before
        Shares of missing values, scored and trained.
    unknown
        Share of scored rows with a category that no training row has; None for numbers.
    """

    feature: str
    psi: float
    auc: float
    missing: float
    missing_before: float
    unknown: float | None


@dataclass(frozen=True)
class Drift:
    """How scored rows differ: `auc` is that of telling them from training rows by all features, out of fold."""

    n: int
    trained_n: int
    auc: float
    features: list[FeatureDrift]


def compare(trained: Mapping[str, Column], scored: Mapping[str, Column], seed: int = 0) -> Drift:
    """Compare scored rows with training rows, column by column and together.

    Parameters
    ----------
    trained, scored
        Columns by feature: numbers with NaN, or texts with None, where a value is missing.
    """
    name = next(iter(trained))
    sizes = len(trained[name]), len(scored[name])
    is_scored = np.repeat([0.0, 1.0], sizes)
    fold = np.random.default_rng(seed).integers(0, 2, len(is_scored))
    codes = {feature: _codes(trained[feature], scored[feature]) for feature in trained}
    found = [_feature(feature, code, is_scored, fold) for feature, code in codes.items()]
    best = sorted(found, key=lambda each: -each.auc)[:TOGETHER]
    together = _out_of_fold([codes[each.feature].code for each in best], is_scored, fold)
    return Drift(sizes[1], sizes[0], auc(is_scored, together), sorted(found, key=lambda each: -each.auc))


@dataclass(frozen=True)
class _Coded:
    """A feature's bins: 0 for a missing value; `unknown` marks categories that no training row has."""

    code: Ints
    unknown: npt.NDArray[np.bool_] | None


def _codes(trained: Column, scored: Column) -> _Coded:
    if isinstance(trained, list) or isinstance(scored, list):
        return _category_codes(list(trained), list(scored))
    present = trained[~np.isnan(trained)]
    edges = np.unique(np.quantile(present, np.linspace(0, 1, DECILES + 1)[1:-1])) if len(present) else present
    both = np.concatenate([trained, scored])
    code = np.searchsorted(edges, both, side="left") + 1
    return _Coded(np.where(np.isnan(both), 0, code), None)


def _category_codes(trained: Sequence[str | None], scored: Sequence[str | None]) -> _Coded:
    values, counts = np.unique([value for value in trained if value is not None], return_counts=True)
    kept = {str(value): at for at, value in enumerate(values[np.argsort(-counts, kind="stable")][:MAX_VALUES], start=1)}
    known, both = set(values.tolist()), [*trained, *scored]
    rest, new = len(kept) + 1, len(kept) + 2
    code = [0 if v is None else kept.get(v, rest) if v in known else new for v in both]
    here = np.array(code, dtype=np.int64)
    return _Coded(here, here == new)


def _feature(feature: str, coded: _Coded, is_scored: Floats, fold: Ints) -> FeatureDrift:
    before, now = coded.code[is_scored == 0], coded.code[is_scored == 1]
    bins = int(coded.code.max()) + 1
    counts = [np.bincount(each, minlength=bins) for each in (before, now)]
    used = (counts[0] + counts[1]) > 0
    shares = [(count[used] + SMOOTHING) / (count.sum() + SMOOTHING * used.sum()) for count in counts]
    score = np.empty(len(coded.code))
    for number in (0, 1):
        held = fold == number
        rest, of = coded.code[~held], is_scored[~held]
        ones, zeros = (np.bincount(rest, weights, minlength=bins) + SMOOTHING for weights in (of, 1 - of))
        score[held] = np.log(ones / zeros)[coded.code[held]]
    return FeatureDrift(
        feature,
        psi=float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()),
        auc=auc(is_scored, score),
        missing=float((now == 0).mean()),
        missing_before=float((before == 0).mean()),
        unknown=None if coded.unknown is None else float(coded.unknown[is_scored == 1].mean()),
    )


def _out_of_fold(codes: Sequence[Ints], is_scored: Floats, fold: Ints) -> Floats:
    """Return the score of each row by a logistic regression on the bins of these features, fitted without its fold."""
    design = np.concatenate([np.eye(int(code.max()) + 1)[code] for code in codes], axis=1)
    score = np.empty(len(is_scored))
    for number in (0, 1):
        held = fold == number
        score[held] = design[held] @ _fit(design[~held], is_scored[~held])
    return score


def _fit(x: Floats, y: Floats) -> Floats:
    """Fit a ridge logistic regression; its intercept is the common part of the bins' weights."""
    weights = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        m = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (y - m) - RIDGE * weights
        hessian = (x * (m * (1 - m))[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def auc(label: Floats, score: Floats) -> float:
    """Return the chance that a row of label 1 scores above one of label 0; ties count half."""
    _, at, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(count) - (count - 1) / 2
    ones = label.sum()
    return float((ranks[at][label == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones)))

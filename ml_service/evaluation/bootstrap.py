"""Bootstrap intervals of metrics, and of the paired difference between two models.

Law: customers are drawn, not rows, so that the months of one customer don't count as independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ml_service.arrays import Floats, Ints, Labels

Interval = tuple[float, float]

LEVEL = (2.5, 97.5)
#: Number of draws; fewer on large tables, where the intervals are narrow anyway.
DRAWS, DRAWS_OF_MANY_ROWS, MANY_ROWS = 400, 200, 20_000
#: Draws of a mean difference, whose bounds decide.
PAIRED_DRAWS, PAIRED_DRAWS_OF_MANY = 2_000, 500


def bootstrap_weights(groups: Ints, seed: int) -> Iterator[Floats]:
    """Generate the row weights of each bootstrap draw, Poisson(1) per group.

    Parameters
    ----------
    groups : ndarray of int64, shape (n_rows,)
        The customer of each row.
    seed : int

    Yields
    ------
    weights : ndarray of float64, shape (n_rows,)

    References
    ----------
    Chamandy et al., "Estimating Uncertainty for Massive Data Streams" (2012).
    """
    _, inverse = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS if len(groups) <= MANY_ROWS else DRAWS_OF_MANY_ROWS):
        yield rng.poisson(1.0, int(inverse.max()) + 1).astype(np.float64)[inverse]


def interval(values: list[float]) -> Interval | None:
    """Compute the middle 95 % of the values.

    Parameters
    ----------
    values : list of float
        One per draw; NaN where the figure could not be computed.

    Returns
    -------
    interval : tuple of (float, float) or None
        None if more than a tenth of the values is missing.
    """
    known = np.array([v for v in values if np.isfinite(v)])
    if len(known) < 0.9 * len(values):
        return None
    low, high = np.percentile(known, LEVEL)
    return float(low), float(high)


def figure_intervals(
    label: Labels, probability: Floats, groups: Ints, *, threshold: float, balanced_threshold: float, seed: int
) -> dict[str, Interval | None]:
    """Compute 95 % bootstrap intervals of the test figures.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.
    groups : ndarray of int64, shape (n_rows,)
        The customer of each row.
    threshold, balanced_threshold : float
        Decision thresholds of the model.
    seed : int

    Returns
    -------
    intervals : dict of str to (tuple of (float, float) or None)
        By the names of the figures in the report.

    References
    ----------
    Efron, Tibshirani, "An Introduction to the Bootstrap" (1993).
    """
    order = np.argsort(probability, kind="stable")
    y, p = label[order].astype(np.float64), probability[order]
    draw = _WeightedFigures(y, p, threshold, balanced_threshold)
    rows = [draw.figures(w) for w in bootstrap_weights(groups[order], seed)]
    return {name: interval([row[name] for row in rows]) for name in rows[0]}


class _WeightedFigures:
    """Metrics of weighted rows; the rows are sorted by probability once for all draws."""

    def __init__(self, y: Floats, p: Floats, threshold: float, balanced_threshold: float) -> None:
        self._y = y
        self._starts = np.flatnonzero(np.r_[True, np.diff(p) > 0])
        self._loss = -(y * np.log(np.clip(p, 1e-15, 1)) + (1 - y) * np.log(np.clip(1 - p, 1e-15, 1)))
        self._brier = (p - y) ** 2
        self._threshold_starts = {
            "": np.searchsorted(p, threshold),
            "balanced_": np.searchsorted(p, balanced_threshold),
        }

    def figures(self, w: Floats) -> dict[str, float]:
        with np.errstate(divide="ignore", invalid="ignore"):
            leaver_weights = w * self._y
            rate = leaver_weights.sum() / w.sum()
            brier = (w * self._brier).sum() / w.sum()
            figures = {
                **self._ranking(w, leaver_weights),
                "log_loss": float((w * self._loss).sum() / w.sum()),
                "brier": float(brier),
                "brier_skill": float(1 - brier / (rate * (1 - rate))),
                "lift_at_10_percent": _lift(w, leaver_weights),
                "prevalence": float(rate),
            }
            for prefix, start in self._threshold_starts.items():
                figures.update(_at(prefix, w, leaver_weights, int(start)))
        return figures

    def _ranking(self, w: Floats, leaver_weights: Floats) -> dict[str, float]:
        leavers = np.add.reduceat(leaver_weights, self._starts)
        stayers = np.add.reduceat(w - leaver_weights, self._starts)
        below = np.cumsum(stayers) - stayers
        area = (leavers * (below + stayers / 2)).sum() / (leavers.sum() * stayers.sum())
        true_positives, predicted_positives = np.cumsum(leavers[::-1]), np.cumsum((leavers + stayers)[::-1])
        precision = np.where(predicted_positives > 0, true_positives / predicted_positives, 0.0)
        return {"auc": float(area), "average_precision": float((leavers[::-1] * precision).sum() / leavers.sum())}


def _lift(w: Floats, leaver_weights: Floats) -> float:
    cumulative = np.cumsum(w[::-1])
    top = int(np.searchsorted(cumulative, 0.1 * cumulative[-1])) + 1
    return float(
        leaver_weights[-top:].sum()
        / cumulative[min(top, len(cumulative)) - 1]
        / (leaver_weights.sum() / cumulative[-1])
    )


def _at(prefix: str, w: Floats, leaver_weights: Floats, start: int) -> dict[str, float]:
    recall = leaver_weights[start:].sum() / leaver_weights.sum()
    precision = leaver_weights[start:].sum() / w[start:].sum()
    if prefix:
        false_positive_rate = (w - leaver_weights)[start:].sum() / (w - leaver_weights).sum()
        precision = recall / (recall + false_positive_rate)
    f1 = 2 * precision * recall / (precision + recall)
    return {f"{prefix}precision": float(precision), f"{prefix}recall": float(recall), f"{prefix}f1_score": float(f1)}


def losses(label: Labels, probability: Floats) -> Floats:
    """Compute the log loss of each row, in nats.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.

    Returns
    -------
    losses : ndarray of float64, shape (n_rows,)
    """
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return np.where(label == 1, -np.log(p), -np.log1p(-p))


def paired_difference(difference: Floats, groups: Ints, seed: int) -> tuple[float, Interval]:
    """Compute the mean of a difference per row and its 95 % bootstrap interval.

    Parameters
    ----------
    difference : ndarray of float64, shape (n_rows,)
        For example the losses of one model minus those of another on the same rows.
    groups : ndarray of int64, shape (n_rows,)
        The customer of each row.
    seed : int

    Returns
    -------
    mean : float
    interval : tuple of (float, float)
    """
    _, inverse = np.unique(groups, return_inverse=True)
    totals, rows = np.bincount(inverse, weights=difference), np.bincount(inverse).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(PAIRED_DRAWS if len(rows) <= MANY_ROWS else PAIRED_DRAWS_OF_MANY):
        w = rng.poisson(1.0, len(rows))
        if w.any():
            means.append(float((w @ totals) / (w @ rows)))
    low, high = np.percentile(means, LEVEL)
    return float(difference.mean()), (float(low), float(high))


def paired_figure(
    figure: Callable[[Labels, Floats], float | None],
    label: Labels,
    one: Floats,
    other: Floats,
    groups: Ints,
    seed: int,
) -> Interval | None:
    """Compute the 95 % bootstrap interval of figure(one) - figure(other), for figures that take no weights.

    Parameters
    ----------
    figure : callable
        Takes labels and scores; returns a float, or None where it is undefined.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    one, other : ndarray of float64, shape (n_rows,)
        Scores of two models of the same rows.
    groups : ndarray of int64, shape (n_rows,)
        The customer of each row.
    seed : int

    Returns
    -------
    interval : tuple of (float, float) or None
        None if the figure is undefined in more than a tenth of the draws.
    """
    values = []
    for w in bootstrap_weights(groups, seed):
        rows = np.repeat(np.arange(len(label)), w.astype(np.int64))
        pair = figure(label[rows], one[rows]), figure(label[rows], other[rows])
        values.append(np.nan if pair[0] is None or pair[1] is None else pair[0] - pair[1])
    return interval(values)

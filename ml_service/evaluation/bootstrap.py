"""How far a figure could be off: bootstrap intervals, and the paired difference of two models.

Law: customers are drawn, not rows, so that the months of one customer don't count as independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ml_service.arrays import Floats, Ints, Labels

Interval = tuple[float, float]

LEVEL = (2.5, 97.5)
#: Draws for a few thousand rows; fewer for many, where an interval is narrow anyway.
DRAWS, DRAWS_OF_MANY, MANY = 400, 200, 20_000


def weights(groups: Ints, seed: int) -> Iterator[Floats]:
    """Row weights of one bootstrap draw after the other: Poisson(1) per group, shape (rows,)."""
    _, inverse = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS if len(groups) <= MANY else DRAWS_OF_MANY):
        yield rng.poisson(1.0, int(inverse.max()) + 1).astype(np.float64)[inverse]


def interval(values: list[float]) -> Interval | None:
    """The middle 95 %; None where the figure could not be computed in nearly every draw."""
    known = np.array([v for v in values if np.isfinite(v)])
    if len(known) < 0.9 * len(values):
        return None
    low, high = np.percentile(known, LEVEL)
    return float(low), float(high)


def figure_intervals(
    label: Labels, probability: Floats, groups: Ints, *, threshold: float, balanced_threshold: float, seed: int
) -> dict[str, Interval | None]:
    """95 % intervals of the test figures, by their names in the report."""
    order = np.argsort(probability, kind="stable")
    y, p = label[order].astype(np.float64), probability[order]
    draw = _Draw(y, p, threshold, balanced_threshold)
    rows = [draw.figures(w) for w in weights(groups[order], seed)]
    return {name: interval([row[name] for row in rows]) for name in rows[0]}


class _Draw:
    """Figures of weighted rows that are sorted by score."""

    def __init__(self, y: Floats, p: Floats, threshold: float, balanced_threshold: float) -> None:
        self._y = y
        self._starts = np.flatnonzero(np.r_[True, np.diff(p) > 0])
        self._loss = -(y * np.log(np.clip(p, 1e-15, 1)) + (1 - y) * np.log(np.clip(1 - p, 1e-15, 1)))
        self._brier = (p - y) ** 2
        self._cuts = {"": np.searchsorted(p, threshold), "balanced_": np.searchsorted(p, balanced_threshold)}

    def figures(self, w: Floats) -> dict[str, float]:
        with np.errstate(divide="ignore", invalid="ignore"):
            gone = w * self._y
            rate = gone.sum() / w.sum()
            brier = (w * self._brier).sum() / w.sum()
            found = {
                **self._ranking(w, gone),
                "log_loss": float((w * self._loss).sum() / w.sum()),
                "brier": float(brier),
                "brier_skill": float(1 - brier / (rate * (1 - rate))),
                "lift_at_10_percent": _lift(w, gone),
                "prevalence": float(rate),
            }
            for prefix, cut in self._cuts.items():
                found.update(_at(prefix, w, gone, int(cut)))
        return found

    def _ranking(self, w: Floats, gone: Floats) -> dict[str, float]:
        leavers = np.add.reduceat(gone, self._starts)
        stayers = np.add.reduceat(w - gone, self._starts)
        below = np.cumsum(stayers) - stayers
        area = (leavers * (below + stayers / 2)).sum() / (leavers.sum() * stayers.sum())
        caught, called = np.cumsum(leavers[::-1]), np.cumsum((leavers + stayers)[::-1])
        precision = np.where(called > 0, caught / called, 0.0)
        return {"auc": float(area), "average_precision": float((leavers[::-1] * precision).sum() / leavers.sum())}


def _lift(w: Floats, gone: Floats) -> float:
    many = np.cumsum(w[::-1])
    top = int(np.searchsorted(many, 0.1 * many[-1])) + 1
    return float(gone[-top:].sum() / many[min(top, len(many)) - 1] / (gone.sum() / many[-1]))


def _at(prefix: str, w: Floats, gone: Floats, cut: int) -> dict[str, float]:
    recall = gone[cut:].sum() / gone.sum()
    precision = gone[cut:].sum() / w[cut:].sum()
    if prefix:
        alarms = (w - gone)[cut:].sum() / (w - gone).sum()
        precision = recall / (recall + alarms)
    f1 = 2 * precision * recall / (precision + recall)
    return {f"{prefix}precision": float(precision), f"{prefix}recall": float(recall), f"{prefix}f1_score": float(f1)}


def losses(label: Labels, probability: Floats) -> Floats:
    """Each row's part of the log loss, in nats."""
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return np.where(label == 1, -np.log(p), -np.log1p(-p))


def paired(difference: Floats, groups: Ints, seed: int) -> tuple[float, Interval]:
    """Mean of a per-row difference and its 95 % interval."""
    drawn = [float((w * difference).sum() / w.sum()) for w in weights(groups, seed) if w.any()]
    low, high = np.percentile(drawn, LEVEL)
    return float(difference.mean()), (float(low), float(high))


def paired_figure(
    figure: Callable[[Labels, Floats], float | None],
    label: Labels,
    one: Floats,
    other: Floats,
    groups: Ints,
    seed: int,
) -> Interval | None:
    """95 % interval of figure(one) - figure(other) on the same drawn customers (for figures that take no weights)."""
    values = []
    for w in weights(groups, seed):
        rows = np.repeat(np.arange(len(label)), w.astype(np.int64))
        pair = figure(label[rows], one[rows]), figure(label[rows], other[rows])
        values.append(np.nan if pair[0] is None or pair[1] is None else pair[0] - pair[1])
    return interval(values)

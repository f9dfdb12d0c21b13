"""The figures of docs/definitions.md#model-figures, each a function of labels and probabilities.

Law: what can't be computed is None, never 0; the order of the rows changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sk

from ml_service.arrays import Floats, Labels

ECE_BINS = 15


def both_classes(label: Labels) -> bool:
    """Whether leavers and stayers both occur."""
    return 0 < int(np.count_nonzero(label)) < len(label)


def auc(label: Labels, score: Floats) -> float | None:
    """Area under the ROC curve, scikit-learn's; None with one class."""
    return float(sk.roc_auc_score(label, score)) if both_classes(label) else None


def average_precision(label: Labels, score: Floats) -> float | None:
    """scikit-learn's; None without leavers."""
    return float(sk.average_precision_score(label, score)) if label.any() else None


def log_loss(label: Labels, probability: Floats) -> float:
    """scikit-learn's, in nats."""
    return float(sk.log_loss(label, probability, labels=[0, 1]))


def brier(label: Labels, probability: Floats) -> float:
    """Mean squared error of the probability."""
    return float(np.mean((probability - label) ** 2))


def brier_skill(label: Labels, probability: Floats) -> float | None:
    """1 - BS / (pi (1 - pi)): above 0 is better than the constant rate; None with one class."""
    rate = float(label.mean())
    return 1 - brier(label, probability) / (rate * (1 - rate)) if both_classes(label) else None


def _by_score(label: Labels, score: Floats) -> tuple[Floats, Floats]:
    """Scores ascending, and labels beside them; rows of one score share their mean label."""
    values, inverse, rows = np.unique(score, return_inverse=True, return_counts=True)
    rates = np.bincount(inverse, weights=label, minlength=len(values)) / rows
    return np.repeat(values, rows), np.repeat(rates, rows)


def ece(label: Labels, probability: Floats, bins: int = ECE_BINS) -> float:
    """Expected calibration error over bins of equal mass (Naeini et al. 2015, Guo et al. 2017).

    sum over bins of n_b / n * |mean y - mean p|. Rows of one probability share their mean label, so that the order of
    the rows does not decide where a bin parts them.
    """
    p, y = _by_score(label, probability)
    gaps = [abs(part.sum()) for part in np.array_split(y - p, min(bins, len(p)))]
    return float(sum(gaps) / len(p))


def lift(label: Labels, score: Floats, share: float = 0.1) -> float | None:
    """Churn rate in the top share by score over the overall rate; None without leavers.

    The top holds at least one row: the share of the rows, rounded up. Tied scores share their expected value.
    """
    if not label.any():
        return None
    top = max(1, int(np.ceil(round(share * len(label), 9))))
    _, y = _by_score(label, score)
    return float(y[-top:].mean() / label.mean())


@dataclass(frozen=True)
class AtThreshold:
    """Precision, recall and F1 where label = 1[p >= threshold]."""

    precision: float | None
    recall: float | None
    f1: float | None


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def at_threshold(label: Labels, probability: Floats, threshold: float) -> AtThreshold:
    """At the prevalence of these rows; precision is None where nobody is called."""
    called = probability >= threshold
    caught, leavers = int(np.count_nonzero(called & (label == 1))), int(np.count_nonzero(label))
    precision = caught / int(called.sum()) if called.any() else None
    recall = caught / leavers if leavers else None
    return AtThreshold(precision, recall, _f1(precision, recall))


def at_threshold_balanced(label: Labels, probability: Floats, threshold: float) -> AtThreshold:
    """The same ROC point at prevalence 1/2: precision = R / (R + FPR)."""
    if not both_classes(label):
        return AtThreshold(None, None, None)
    called = probability >= threshold
    recall, false_alarms = float(called[label == 1].mean()), float(called[label == 0].mean())
    precision = recall / (recall + false_alarms) if called.any() else None
    return AtThreshold(precision, recall, _f1(precision, recall))

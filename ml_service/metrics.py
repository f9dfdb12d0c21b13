"""Metrics of labels and probabilities; docs/definitions.md#model-figures defines them all.

Law: a metric that can't be computed is None, never 0, and the order of the rows changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sk

from ml_service.arrays import Floats, Labels

ECE_BINS = 15


def both_classes(label: Labels) -> bool:
    """Return whether leavers and stayers both occur in labels, ndarray of int8, shape (n_rows,)."""
    return 0 < int(np.count_nonzero(label)) < len(label)


def auc(label: Labels, score: Floats) -> float | None:
    """Compute the area under the ROC curve.

    It is the probability that a leaver has a higher score than a stayer; ties count half.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    score : ndarray of float64, shape (n_rows,)
        Anything that ranks the rows: a probability or a margin.

    Returns
    -------
    auc : float or None
        In [0, 1]; None if there is only one class.

    References
    ----------
    Hanley, McNeil, "The Meaning and Use of the Area under a ROC Curve", Radiology 143 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> auc(np.array([0, 0, 1, 1], np.int8), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    return float(sk.roc_auc_score(label, score)) if both_classes(label) else None


def average_precision(label: Labels, score: Floats) -> float | None:
    """Compute the average precision: the sum over thresholds of (R_k - R_(k-1)) P_k.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    score : ndarray of float64, shape (n_rows,)
        Anything that ranks the rows.

    Returns
    -------
    average_precision : float or None
        None if there are no leavers.

    References
    ----------
    ``sklearn.metrics.average_precision_score``.
    """
    return float(sk.average_precision_score(label, score)) if label.any() else None


def log_loss(label: Labels, probability: Floats) -> float:
    """Compute the log loss, -mean(y ln p + (1 - y) ln(1 - p)), in nats.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Predicted probability of leaving.

    Returns
    -------
    log_loss : float
        0 is perfect.

    References
    ----------
    ``sklearn.metrics.log_loss``.
    """
    return float(sk.log_loss(label, probability, labels=[0, 1]))


def brier(label: Labels, probability: Floats) -> float:
    """Compute the Brier score, mean (p - y)^2.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Predicted probability of leaving.

    Returns
    -------
    brier : float
        0 is perfect.

    References
    ----------
    Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather Review 78 (1950).

    Examples
    --------
    >>> import numpy as np
    >>> round(brier(np.array([1, 0], np.int8), np.array([0.8, 0.4])), 12)
    0.1
    """
    return float(np.mean((probability - label) ** 2))


def brier_skill(label: Labels, probability: Floats) -> float | None:
    """Compute the Brier skill, 1 - BS / (pi (1 - pi)).

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer; pi is its mean.
    probability : ndarray of float64, shape (n_rows,)
        Predicted probability of leaving.

    Returns
    -------
    brier_skill : float or None
        1 is perfect, 0 is as good as predicting the churn rate for every row; None if there is only one class.

    References
    ----------
    Murphy, "Skill Scores Based on the Mean Square Error and Their Relationships to the Correlation Coefficient",
    Monthly Weather Review 116 (1988).
    """
    rate = float(label.mean())
    return 1 - brier(label, probability) / (rate * (1 - rate)) if both_classes(label) else None


def _sorted_with_ties_averaged(label: Labels, score: Floats) -> tuple[Floats, Floats]:
    """Scores in ascending order, and their labels; rows with equal scores share their mean label."""
    values, inverse, rows = np.unique(score, return_inverse=True, return_counts=True)
    rates = np.bincount(inverse, weights=label, minlength=len(values)) / rows
    return np.repeat(values, rows), np.repeat(rates, rows)


def ece(label: Labels, probability: Floats, bins: int = ECE_BINS) -> float:
    """Compute the expected calibration error over bins of equal mass.

    ECE = sum over bins b of n_b / n * abs(mean y in b - mean p in b). Rows with equal probabilities share their mean
    label, so that the order of the rows does not decide which bin they fall into.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Predicted probability of leaving.
    bins : int, default=15
        Number of bins; at most one per row.

    Returns
    -------
    ece : float
        0 is perfect.

    References
    ----------
    Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    p, y = _sorted_with_ties_averaged(label, probability)
    gaps = [abs(part.sum()) for part in np.array_split(y - p, min(bins, len(p)))]
    return float(sum(gaps) / len(p))


def lift(label: Labels, score: Floats, share: float = 0.1) -> float | None:
    """Compute the churn rate among the rows with the highest scores, divided by the overall churn rate.

    Rows with equal scores share their mean label.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    score : ndarray of float64, shape (n_rows,)
        Anything that ranks the rows.
    share : float, default=0.1
        Share of the rows that counts as the top, rounded up to at least one row.

    Returns
    -------
    lift : float or None
        1 is no better than chance; None if there are no leavers.

    References
    ----------
    Ling, Li, "Data Mining for Direct Marketing: Problems and Solutions", KDD 1998.
    """
    if not label.any():
        return None
    top = max(1, int(np.ceil(round(share * len(label), 9))))
    _, y = _sorted_with_ties_averaged(label, score)
    return float(y[-top:].mean() / label.mean())


@dataclass(frozen=True)
class AtThreshold:
    """Precision, recall and F1 of predicting 1 where p >= threshold; None where undefined.

    Attributes
    ----------
    precision : float or None
    recall : float or None
    f1 : float or None
    """

    precision: float | None
    recall: float | None
    f1: float | None


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def at_threshold(label: Labels, probability: Floats, threshold: float) -> AtThreshold:
    """Compute precision, recall and F1 at the prevalence of these rows.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Predicted probability of leaving.
    threshold : float
        Rows with this probability or a higher one are predicted to leave.

    Returns
    -------
    figures : AtThreshold
        Precision is None if no row reaches the threshold, recall if there are no leavers, F1 if either is None.

    References
    ----------
    ``sklearn.metrics.precision_recall_fscore_support``.

    Examples
    --------
    >>> import numpy as np
    >>> at_threshold(np.array([1, 1, 0, 0], np.int8), np.array([0.9, 0.2, 0.8, 0.1]), 0.5)
    AtThreshold(precision=0.5, recall=0.5, f1=0.5)
    """
    predicted = probability >= threshold
    true_positives, leavers = int(np.count_nonzero(predicted & (label == 1))), int(np.count_nonzero(label))
    precision = true_positives / int(predicted.sum()) if predicted.any() else None
    recall = true_positives / leavers if leavers else None
    return AtThreshold(precision, recall, _f1(precision, recall))


def at_threshold_balanced(label: Labels, probability: Floats, threshold: float) -> AtThreshold:
    """Compute precision, recall and F1 of the same ROC point at a prevalence of 1/2.

    precision = R / (R + FPR), where R is the recall and FPR the false positive rate;
    see docs/definitions.md#balanced-precision.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Predicted probability of leaving.
    threshold : float
        Rows with this probability or a higher one are predicted to leave.

    Returns
    -------
    figures : AtThreshold
        All None if there is only one class; precision and F1 are None if no row reaches the threshold.
    """
    if not both_classes(label):
        return AtThreshold(None, None, None)
    predicted = probability >= threshold
    recall, false_positive_rate = float(predicted[label == 1].mean()), float(predicted[label == 0].mean())
    precision = recall / (recall + false_positive_rate) if predicted.any() else None
    return AtThreshold(precision, recall, _f1(precision, recall))

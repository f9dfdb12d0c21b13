"""The curves of a report: reliability, ROC, precision and recall, gain and lift.

Law: a curve has at most 101 points, however many rows there are.
"""

from __future__ import annotations

import numpy as np

from ml_service import metrics
from ml_service.arrays import Floats, Labels
from shared.contracts.report import Curve, Curves, Reliability
from shared.wilson import wilson

MAX_POINTS = 101


def curves(label: Labels, probability: Floats) -> Curves | None:
    """Compute all curves of the report.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.

    Returns
    -------
    curves : Curves or None
        None if there is only one class.
    """
    if not metrics.both_classes(label):
        return None
    candidates, inverse, rows = np.unique(-probability, return_inverse=True, return_counts=True)
    true_positives = np.cumsum(np.bincount(inverse, weights=label, minlength=len(candidates)))
    predicted_positives = np.cumsum(rows).astype(np.float64)
    leavers, n = float(true_positives[-1]), float(predicted_positives[-1])
    recall, false_positive_rate = true_positives / leavers, (predicted_positives - true_positives) / (n - leavers)
    share = np.linspace(0, 1, MAX_POINTS)
    gain = np.interp(share, np.r_[0, predicted_positives / n], np.r_[0, recall])
    return Curves(
        reliability=reliability(label, probability),
        roc=_thin(np.r_[0, false_positive_rate], np.r_[0, recall]),
        precision_recall=_thin(recall, true_positives / predicted_positives),
        gain=_pairs(share, gain),
        lift=_pairs(share[1:], gain[1:] / share[1:]),
    )


def reliability(label: Labels, probability: Floats) -> list[Reliability]:
    """Compare predicted and observed churn rates in bins of equal mass.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.

    Returns
    -------
    bins : list of Reliability
        The bins of the ECE, with the 95 % Wilson interval of the observed rate.

    References
    ----------
    DeGroot, Fienberg, "The Comparison and Evaluation of Forecasters", The Statistician 32 (1983).
    """
    order = np.argsort(probability, kind="stable")
    bins = []
    for part in np.array_split(order, min(metrics.ECE_BINS, len(order))):
        left = int(label[part].sum())
        low, high = wilson(left, len(part))
        predicted = float(probability[part].mean())
        bins.append(Reliability(predicted=predicted, observed=left / len(part), low=low, high=high, n=len(part)))
    return bins


def _thin(x: Floats, y: Floats) -> Curve:
    """Keep points at equal distances along the curve."""
    if len(x) <= MAX_POINTS:
        return _pairs(x, y)
    length = np.r_[0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    at = np.unique(np.searchsorted(length, np.linspace(0, length[-1], MAX_POINTS)).clip(0, len(x) - 1))
    return _pairs(x[at], y[at])


def _pairs(x: Floats, y: Floats) -> Curve:
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(x, y, strict=True)]

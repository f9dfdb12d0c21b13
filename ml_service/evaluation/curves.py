"""The curves that a report draws, as arrays of bounded length.

Law: at most 101 points each, whatever the number of rows.
"""

from __future__ import annotations

import numpy as np

from ml_service import metrics
from ml_service.arrays import Floats, Labels
from ml_service.evaluation.calibration_checks import wilson
from shared.contracts.report import Curve, Curves, Reliability

POINTS = 101


def curves(label: Labels, probability: Floats) -> Curves | None:
    """Reliability, ROC, precision and recall, gain and lift; None with one class."""
    if not metrics.both_classes(label):
        return None
    steps, inverse, rows = np.unique(-probability, return_inverse=True, return_counts=True)
    caught = np.cumsum(np.bincount(inverse, weights=label, minlength=len(steps)))
    called = np.cumsum(rows).astype(np.float64)
    leavers, n = float(caught[-1]), float(called[-1])
    recall, alarms = caught / leavers, (called - caught) / (n - leavers)
    share = np.linspace(0, 1, POINTS)
    gain = np.interp(share, np.r_[0, called / n], np.r_[0, recall])
    return Curves(
        reliability=reliability(label, probability),
        roc=_thinned(np.r_[0, alarms], np.r_[0, recall]),
        precision_recall=_thinned(recall, caught / called),
        gain=_pairs(share, gain),
        lift=_pairs(share[1:], gain[1:] / share[1:]),
    )


def reliability(label: Labels, probability: Floats) -> list[Reliability]:
    """Bins of equal mass, as in the ECE, with Wilson intervals."""
    order = np.argsort(probability, kind="stable")
    bins = []
    for part in np.array_split(order, min(metrics.ECE_BINS, len(order))):
        left = int(label[part].sum())
        low, high = wilson(left, len(part))
        predicted = float(probability[part].mean())
        bins.append(Reliability(predicted=predicted, observed=left / len(part), low=low, high=high, n=len(part)))
    return bins


def _thinned(x: Floats, y: Floats) -> Curve:
    """Points that are evenly far apart along the curve."""
    if len(x) <= POINTS:
        return _pairs(x, y)
    way = np.r_[0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    at = np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS)).clip(0, len(x) - 1))
    return _pairs(x[at], y[at])


def _pairs(x: Floats, y: Floats) -> Curve:
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(x, y, strict=True)]

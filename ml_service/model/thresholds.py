"""The two decision thresholds of a model, both chosen on out-of-fold probabilities of training rows."""

from __future__ import annotations

import numpy as np

from ml_service.arrays import Floats, Labels

#: Out-of-fold recall of the balanced threshold; see docs/definitions.md#balanced-threshold.
BALANCED_RECALL = 0.925


def best_f1_threshold(probability: Floats, label: Labels) -> float:
    """Choose the threshold with the highest F1.

    Parameters
    ----------
    probability : ndarray of float64, shape (n_rows,)
        Out-of-fold probabilities.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.

    Returns
    -------
    threshold : float
        Midway between two probabilities that occur; the highest of several equally good ones.

    References
    ----------
    Lipton, Elkan, Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure", ECML PKDD 2014.

    Examples
    --------
    >>> import numpy as np
    >>> best_f1_threshold(np.array([0.75, 0.25]), np.array([1, 0], np.int8))
    0.5
    """
    candidates, true_positives, predicted_positives = _cumulative_counts(probability, label)
    f1 = 2 * true_positives / (predicted_positives + int(label.sum()))
    return _midpoint_below(candidates, int(np.argmax(f1)))


def recall_threshold(probability: Floats, label: Labels, recall: float = BALANCED_RECALL) -> float:
    """Choose the highest threshold that reaches a recall.

    Parameters
    ----------
    probability : ndarray of float64, shape (n_rows,)
        Out-of-fold probabilities.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    recall : float, default=0.925
        Share of the leavers that must be at or above the threshold.

    Returns
    -------
    threshold : float
        Midway between two probabilities that occur.
    """
    candidates, true_positives, _ = _cumulative_counts(probability, label)
    return _midpoint_below(candidates, int(np.argmax(true_positives >= recall * label.sum())))


def _cumulative_counts(probability: Floats, label: Labels) -> tuple[Floats, Floats, Floats]:
    """Distinct probabilities in descending order, and the number of leavers and of rows at or above each."""
    candidates, inverse, rows = np.unique(-probability, return_inverse=True, return_counts=True)
    leavers = np.bincount(inverse, weights=label, minlength=len(candidates))
    return -candidates, np.cumsum(leavers), np.cumsum(rows).astype(np.float64)


def _midpoint_below(candidates: Floats, at: int) -> float:
    # Midway to the next probability, so that rounding can't move a row across the threshold.
    below = candidates[at + 1] if at + 1 < len(candidates) else 0.0
    return float((candidates[at] + below) / 2)

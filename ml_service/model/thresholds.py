"""Where to cut: the two thresholds of a model, chosen on out-of-fold probabilities.

Law: a threshold is chosen on training rows by scores of models that had not seen them, never on test rows.
"""

from __future__ import annotations

import numpy as np

from ml_service.arrays import Floats, Labels

#: Out-of-fold recall that the balanced threshold aims at: docs/definitions.md#balanced-threshold.
BALANCED_RECALL = 0.925


def best_f1_threshold(probability: Floats, label: Labels) -> float:
    """The threshold with the best F1; the highest one where several are as good."""
    steps, caught, called = _steps(probability, label)
    f1 = 2 * caught / (called + int(label.sum()))
    return _between(steps, int(np.argmax(f1)))


def recall_threshold(probability: Floats, label: Labels, recall: float = BALANCED_RECALL) -> float:
    """The highest threshold that catches at least this share of the leavers."""
    steps, caught, _ = _steps(probability, label)
    return _between(steps, int(np.argmax(caught >= recall * label.sum())))


def _steps(probability: Floats, label: Labels) -> tuple[Floats, Floats, Floats]:
    """Distinct probabilities, descending; leavers and rows at or above each."""
    steps, inverse, rows = np.unique(-probability, return_inverse=True, return_counts=True)
    leavers = np.bincount(inverse, weights=label, minlength=len(steps))
    return -steps, np.cumsum(leavers), np.cumsum(rows).astype(np.float64)


def _between(steps: Floats, at: int) -> float:
    # Half-way to the next probability: no row sits on the edge, where a last bit would decide.
    below = steps[at + 1] if at + 1 < len(steps) else 0.0
    return float((steps[at] + below) / 2)

"""Calibration checks: slope and intercept, ECE against chance, confidence against accuracy, and the highest scores.

The limits are defined in docs/definitions.md#confidence-check.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from ml_service import metrics
from ml_service.arrays import Floats, Labels
from shared.contracts.api import CalibrationCheck

SLOPE = (0.9, 1.1)
MAX_GAP, MAX_OVERCONFIDENCE, CONFIDENCE_BINS = 0.015, 0.03, 10
TAIL, TAIL_ROWS = 0.7, 100
#: Number of simulations of a perfectly calibrated model, and the maximum number of rows in each.
PERFECT_DRAWS, PERFECT_ROWS = 1000, 20_000
Z95 = 1.959964


def wilson(positives: float, n: int) -> tuple[float, float]:
    """Compute the 95 % Wilson interval of a rate.

    Parameters
    ----------
    positives : float
        Number of positive rows.
    n : int
        Number of rows.

    Returns
    -------
    low, high : float
        In [0, 1]; (0, 1) if there are no rows.

    References
    ----------
    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American Statistical
    Association 22 (1927).

    Examples
    --------
    >>> low, high = wilson(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if n == 0:
        return 0.0, 1.0
    rate, z2 = positives / n, Z95**2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * np.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def check(label: Labels, probability: Floats, threshold: float, seed: int = 0) -> CalibrationCheck:
    """Run all calibration checks on rows that the model was not trained on.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.
    threshold : float
        Decision threshold of the model.
    seed : int, default=0
        Seed of the simulation behind the ECE limit.

    Returns
    -------
    check : CalibrationCheck
    """
    slope, intercept = calibration_line(label, probability)
    gap, holds = confidence_check(label, probability, threshold)
    tail = probability >= TAIL
    n, left = int(tail.sum()), int(label[tail].sum())
    return CalibrationCheck(
        slope=slope,
        intercept=intercept,
        ece=metrics.ece(label, probability),
        ece_limit=perfect_ece(probability, seed),
        confidence_gap=gap,
        confidence_holds=holds,
        tail_n=n,
        tail_rate=left / n if n else None,
        tail_upper=wilson(left, n)[1] if n else None,
    )


def calibration_line(label: Labels, probability: Floats) -> tuple[float | None, float | None]:
    """Fit a logistic regression of the label on logit(p).

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.

    Returns
    -------
    slope, intercept : float or None
        (1, 0) is perfect. None if there is only one class or one probability.

    References
    ----------
    Cox, "Two Further Applications of a Model for Binary Regression", Biometrika 45 (1958).
    """
    if not metrics.both_classes(label):
        return None, None
    z = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    if np.ptp(z) == 0:
        return None, None
    line = LogisticRegression(C=1e9, max_iter=500).fit(z[:, None], label)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def confidence_check(label: Labels, probability: Floats, threshold: float) -> tuple[float, bool]:
    """Compare confidence with accuracy in ten bins of equal mass; see docs/definitions.md#confidence-check.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.
    threshold : float
        Decision threshold of the model.

    Returns
    -------
    gap : float
        Mean over the bins of abs(accuracy - confidence).
    holds : bool
        Whether the gap is small enough and no bin is overconfident.
    """
    predicted = probability >= threshold
    confidence = np.where(predicted, probability, 1 - probability)
    correct = (predicted == (label == 1)).astype(np.float64)
    gaps, holds = [], True
    for part in np.array_split(np.argsort(confidence, kind="stable"), min(CONFIDENCE_BINS, len(label))):
        gap = correct[part].mean() - confidence[part].mean()
        # The standard error of the confidence, not of the accuracy: an accuracy of 1 would have no error.
        mean_confidence = confidence[part].mean()
        error = np.sqrt(mean_confidence * (1 - mean_confidence) / len(part))
        gaps.append(abs(gap))
        holds = holds and -gap <= max(MAX_OVERCONFIDENCE, 3 * error)
    mean = float(np.mean(gaps))
    # On few rows, the bins of a perfect model can differ by more than MAX_GAP by chance alone.
    return mean, bool(holds and mean <= max(MAX_GAP, _chance_gap(confidence)))


def _chance_gap(confidence: Floats) -> float:
    per_bin = len(confidence) / CONFIDENCE_BINS
    spread = float(np.sqrt(np.mean(confidence * (1 - confidence)) / per_bin))
    return float(np.sqrt(2 / np.pi) * spread * 1.5)


def perfect_ece(probability: Floats, seed: int = 0, percentile: float = 99) -> float:
    """Simulate the ECE of a perfectly calibrated model with the same probabilities.

    Parameters
    ----------
    probability : ndarray of float64, shape (n_rows,)
        More than 20,000 rows are thinned to 20,000, and the result is scaled by the square root of the ratio.
    seed : int, default=0
        Seed of the 1,000 simulated sets of labels.
    percentile : float, default=99
        In [0, 100].

    Returns
    -------
    ece : float
        The percentile of the simulated values.

    References
    ----------
    Bröcker, Smith, "Increasing the Reliability of Reliability Diagrams", Weather and Forecasting 22 (2007).
    """
    p = np.sort(probability)
    if len(p) > PERFECT_ROWS:
        sample = p[np.linspace(0, len(p) - 1, PERFECT_ROWS).astype(np.int64)]
        return perfect_ece(sample, seed, percentile) * float(np.sqrt(PERFECT_ROWS / len(p)))
    rng = np.random.default_rng(seed)
    bins = min(metrics.ECE_BINS, len(p))
    edges = np.cumsum([0, *[len(part) for part in np.array_split(p, bins)]])[:-1]
    eces = []
    for _ in range(PERFECT_DRAWS):
        y = rng.random(len(p)) < p
        eces.append(np.abs(np.add.reduceat(y - p, edges)).sum() / len(p))
    return float(np.percentile(eces, percentile))


def calibration_warnings(check: CalibrationCheck, prevalence: float) -> list[str]:
    """Write a sentence for each check that fails.

    Parameters
    ----------
    check : CalibrationCheck
    prevalence : float
        Churn rate of the test rows.

    Returns
    -------
    warnings : list of str
    """
    warnings = []
    if check.slope is not None and not SLOPE[0] <= check.slope <= SLOPE[1]:
        warnings.append(
            f"The calibration slope on the test rows is {check.slope:.2f}; {SLOPE[0]} to {SLOPE[1]} is expected."
        )
    if check.ece > check.ece_limit:
        warnings.append(
            f"The ECE on the test rows, {check.ece:.4f}, is higher than chance explains ({check.ece_limit:.4f}): the "
            f"churn rate or its causes may have changed since training ({100 * prevalence:.1f} % of the test rows "
            "churned)."
        )
    if not check.confidence_holds:
        warnings.append(
            "On the test rows, confidence does not match accuracy everywhere: the two differ by "
            f"{check.confidence_gap:.3f} on average over ten bins, and by more than chance in at least one of them."
        )
    if check.tail_upper is not None and check.tail_n >= TAIL_ROWS and check.tail_upper < TAIL:
        warnings.append(
            f"The highest probabilities are too high: {check.tail_n} test rows have {TAIL} or more, but only "
            f"{100 * (check.tail_rate or 0):.0f} % of these customers left, and the true share is below "
            f"{100 * TAIL:.0f} % with 95 % confidence."
        )
    return warnings

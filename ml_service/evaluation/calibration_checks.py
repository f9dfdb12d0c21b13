"""Calibration checks: level, slope, ECE against chance, confidence against accuracy, and the highest scores.

Law: the level is checked alone, and the ECE once it is set free, so that a warning names the one that failed.

The limits are defined in docs/definitions.md#confidence-check.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from ml_service import metrics
from ml_service.arrays import Floats, Labels
from ml_service.evaluation.level import WARNING, chance_of_so_few, level_set_free
from shared.contracts.api import CalibrationCheck, LevelSpread
from shared.expected_leavers import interval
from shared.wilson import Z95

SLOPE = (0.9, 1.1)
MAX_GAP, MAX_OVERCONFIDENCE, CONFIDENCE_BINS = 0.015, 0.03, 10
TAIL, TAIL_CHANCE = 0.7, 0.005
#: The mean gap of ten bins stays by chance below this many times its expectation.
CHANCE_FACTOR = 1.9
#: Number of simulations of a perfectly calibrated model, and the maximum number of rows in each.
PERFECT_DRAWS, PERFECT_ROWS = 1000, 20_000


def check(
    label: Labels, probability: Floats, threshold: float, seed: int = 0, level: LevelSpread | None = None
) -> CalibrationCheck:
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
    level : LevelSpread, optional
        Spread of the model's level, for the interval of the ratio.

    Returns
    -------
    check : CalibrationCheck
    """
    slope, intercept, error = calibration_line(label, probability)
    gap, holds = confidence_check(label, probability, threshold)
    tail = probability >= TAIL
    n, left = int(tail.sum()), int(label[tail].sum())
    expected, observed = float(probability.sum()), int(label.sum())
    low, high = interval(expected, float((probability * (1 - probability)).sum()), level)
    shape = level_set_free(label, probability)
    return CalibrationCheck(
        expected=expected,
        ratio=observed / expected,
        ratio_interval=(observed / expected - 1 + low / expected, observed / expected - 1 + high / expected),
        slope=slope,
        slope_interval=None if slope is None or error is None else (slope - Z95 * error, slope + Z95 * error),
        intercept=intercept,
        ece=metrics.ece(label, probability),
        level_free_ece=metrics.ece(label, shape),
        ece_limit=perfect_ece(shape, seed),
        confidence_gap=gap,
        confidence_holds=holds,
        tail_n=n,
        tail_rate=left / n if n else None,
        tail_said=float(probability[tail].mean()) if n else None,
        tail_chance=chance_of_so_few(left, probability[tail]) if n else None,
    )


def calibration_line(label: Labels, probability: Floats) -> tuple[float | None, float | None, float | None]:
    """Fit a logistic regression of the label on logit(p).

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of leaving.

    Returns
    -------
    slope, intercept, slope_error : float or None
        (1, 0) is perfect; the standard error of the slope is that of maximum likelihood. None if there is only one
        class or one probability.

    References
    ----------
    Cox, "Two Further Applications of a Model for Binary Regression", Biometrika 45 (1958).
    """
    if not metrics.both_classes(label):
        return None, None, None
    z = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    if np.ptp(z) == 0:
        return None, None, None
    line = LogisticRegression(C=1e9, max_iter=500).fit(z[:, None], label)
    p = line.predict_proba(z[:, None])[:, 1]
    weight = p * (1 - p)
    spread = float((weight * (z - np.average(z, weights=weight)) ** 2).sum())
    return float(line.coef_[0, 0]), float(line.intercept_[0]), spread**-0.5


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
    return float(np.sqrt(2 / np.pi) * spread * CHANCE_FACTOR)


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


def _is_off(slope: float, interval_95: tuple[float, float]) -> bool:
    low, high = (slope + WARNING * (bound - slope) for bound in interval_95)
    return not SLOPE[0] <= slope <= SLOPE[1] and not low <= 1 <= high


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
    low, high = (check.ratio + WARNING * (bound - check.ratio) for bound in check.ratio_interval)
    if not low <= 1 <= high:
        warnings.append(
            f"{check.ratio * check.expected:,.0f} of these customers left where {check.expected:,.0f} were expected "
            f"({check.ratio:.2f} times as many), more than chance and the spread of past periods explain: the level is "
            f"wrong ({100 * prevalence:.1f} % of the test rows churned)."
        )
    if check.slope is not None and check.slope_interval is not None and _is_off(check.slope, check.slope_interval):
        warnings.append(
            f"The calibration slope on the test rows is {check.slope:.2f}; {SLOPE[0]} to {SLOPE[1]} is expected."
        )
    if check.level_free_ece > check.ece_limit:
        warnings.append(
            f"The ECE on the test rows is {check.level_free_ece:.4f} even with the level set right, higher than chance "
            f"explains ({check.ece_limit:.4f}): the causes of leaving may have changed since training."
        )
    if not check.confidence_holds:
        warnings.append(
            "On the test rows, confidence does not match accuracy everywhere: the two differ by "
            f"{check.confidence_gap:.3f} on average over ten bins, and by more than chance in at least one of them."
        )
    if check.tail_chance is not None and check.tail_chance < TAIL_CHANCE:
        warnings.append(
            f"The highest probabilities are too high: {check.tail_n} test rows have {TAIL} or more, "
            f"{100 * (check.tail_said or 0):.0f} % on average, but only {100 * (check.tail_rate or 0):.0f} % of these "
            "customers left."
        )
    return warnings

"""Whether probabilities mean what they say: slope, ECE beside chance, the confidence check, the tail.

Law: a check says on how many rows it stands; the limits are those of docs/definitions.md#confidence-check, not
of this data.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from ml_service import metrics
from ml_service.arrays import Floats, Labels
from shared.contracts.api import CalibrationCheck

SLOPE = (0.9, 1.1)
LAW_GAP, LAW_OVERCLAIM, LAW_BINS = 0.015, 0.03, 10
TAIL, TAIL_ROWS = 0.7, 100
#: Draws of outcomes that are exactly as probable as said.
PERFECT_DRAWS, PERFECT_ROWS = 1000, 20_000
Z95 = 1.959964


def wilson(positives: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    if n == 0:
        return 0.0, 1.0
    rate, z2 = positives / n, Z95**2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * np.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def check(label: Labels, probability: Floats, threshold: float, seed: int = 0) -> CalibrationCheck:
    """All checks on one set of rows that the model has not seen."""
    slope, intercept = calibration_line(label, probability)
    gap, holds = confidence_law(label, probability, threshold)
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
    """Slope and intercept of logit(outcome) on logit(p); (1, 0) is perfect (Cox 1958). None with one class."""
    if not metrics.both_classes(label):
        return None, None
    z = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    if np.ptp(z) == 0:
        return None, None
    line = LogisticRegression(C=1e9, max_iter=500).fit(z[:, None], label)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def confidence_law(label: Labels, probability: Floats, threshold: float) -> tuple[float, bool]:
    """Mean |accuracy - confidence| over ten bins of equal mass; whether docs/definitions.md#confidence-check holds."""
    called = probability >= threshold
    confidence = np.where(called, probability, 1 - probability)
    right = (called == (label == 1)).astype(np.float64)
    gaps, holds = [], True
    for part in np.array_split(np.argsort(confidence, kind="stable"), min(LAW_BINS, len(label))):
        gap = right[part].mean() - confidence[part].mean()
        # Of the claim, not of the outcome: a bin where all turned out right has no spread of its own.
        claimed = confidence[part].mean()
        error = np.sqrt(claimed * (1 - claimed) / len(part))
        gaps.append(abs(gap))
        holds = holds and -gap <= max(LAW_OVERCLAIM, 3 * error)
    mean = float(np.mean(gaps))
    # Ten bins of a perfect model differ by chance: on few rows more than the check allows.
    return mean, bool(holds and mean <= max(LAW_GAP, _chance_gap(confidence)))


def _chance_gap(confidence: Floats) -> float:
    per_bin = len(confidence) / LAW_BINS
    spread = float(np.sqrt(np.mean(confidence * (1 - confidence)) / per_bin))
    return float(np.sqrt(2 / np.pi) * spread * 1.5)


def perfect_ece(probability: Floats, seed: int = 0, percentile: float = 99) -> float:
    """The ECE that so many rows of a perfectly calibrated model stay below, 99 times in 100 (by simulation)."""
    p = np.sort(probability)
    if len(p) > PERFECT_ROWS:
        # As many outcomes per bin decide, so a thinned row set is scaled back by the root of its size.
        thin = p[np.linspace(0, len(p) - 1, PERFECT_ROWS).astype(np.int64)]
        return perfect_ece(thin, seed, percentile) * float(np.sqrt(PERFECT_ROWS / len(p)))
    rng = np.random.default_rng(seed)
    bins = min(metrics.ECE_BINS, len(p))
    edges = np.cumsum([0, *[len(part) for part in np.array_split(p, bins)]])[:-1]
    drawn = []
    for _ in range(PERFECT_DRAWS):
        y = rng.random(len(p)) < p
        drawn.append(np.abs(np.add.reduceat(y - p, edges)).sum() / len(p))
    return float(np.percentile(drawn, percentile))


def warnings_of(found: CalibrationCheck, prevalence: float) -> list[str]:
    """Sentences where a check fails."""
    said = []
    if found.slope is not None and not SLOPE[0] <= found.slope <= SLOPE[1]:
        said.append(f"Calibration slope {found.slope:.2f} on the test rows; {SLOPE[0]} to {SLOPE[1]} was expected.")
    if found.ece > found.ece_limit:
        said.append(
            f"ECE {found.ece:.4f} on the test rows is more than chance explains ({found.ece_limit:.4f}): the churn "
            f"rate or its causes may have moved since the training (test prevalence {100 * prevalence:.1f} %)."
        )
    if not found.confidence_holds:
        said.append(
            f"Confidence is not kept everywhere on the test rows: it differs from accuracy by "
            f"{found.confidence_gap:.3f} on average over ten bins, and by more than chance in one of them."
        )
    if found.tail_upper is not None and found.tail_n >= TAIL_ROWS and found.tail_upper < TAIL:
        said.append(
            f"Of {found.tail_n} test rows at {TAIL} or more, {100 * (found.tail_rate or 0):.0f} % left; with 95 % "
            f"certainty fewer than {100 * TAIL:.0f} % do: the highest probabilities claim too much."
        )
    return said

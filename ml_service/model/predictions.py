"""What the model answers: scores, and scores with their reasons.

Law: one entry per row asked about, in the order asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from ml_service.arrays import Flags, Floats, Labels
from ml_service.model.reasons import Points


@dataclass(frozen=True)
class Scores:
    """Each row's answer, shape (rows,) each; `unknown` counts values never seen, by feature, only above 0."""

    probability: Floats
    confidence: Floats
    label: Labels
    margin: Floats
    out_of_fold: Flags
    unknown: dict[str, int]


@dataclass(frozen=True)
class Explanation:
    """Scores with their reasons, and what the points are counted from."""

    scores: Scores
    points: Points
    base_probability: float

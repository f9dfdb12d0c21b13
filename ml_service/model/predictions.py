"""What the model answers: scores, and scores with their reasons.

Law: one entry per row asked about, in the order asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ml_service.model.reasons import Points

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Scores:
    """Each row's answer, shape (rows,) each; `unknown` counts values never seen, by feature, only above 0."""

    probability: Floats
    confidence: Floats
    label: Labels
    margin: Floats
    out_of_fold: npt.NDArray[np.bool_]
    unknown: dict[str, int]


@dataclass(frozen=True)
class Explanation:
    """Scores with their reasons, and what the points are counted from."""

    scores: Scores
    points: Points
    base_probability: float

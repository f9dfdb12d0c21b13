"""Reasons of a score: SHAP values converted to points of probability, largest first.

Law: base_probability + points + other = churn_probability for every row; see docs/definitions.md#reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_service.arrays import Floats, Indices, Ints
from ml_service.model.calibration import BetaCalibration


@dataclass(frozen=True)
class Points:
    """The reasons of each row, in descending order of their absolute SHAP value.

    Attributes
    ----------
    order : ndarray of int64, shape (n_rows, n_reasons)
        Position of the feature in the schema; features with equal values keep the order of the schema.
    contributions : ndarray of float64, shape (n_rows, n_reasons)
        SHAP values, in log-odds before calibration.
    points : ndarray of float64, shape (n_rows, n_reasons)
        Change of the probability, in [-1, 1].
    other : ndarray of float64, shape (n_rows,)
        Points of all other features, plus the difference between `base_probability` and the base of the booster that
        scored the row.
    """

    order: Ints
    contributions: Floats
    points: Floats
    other: Floats

    @classmethod
    def empty(cls, rows: int, n_reasons: int) -> Points:
        """Create uninitialised arrays, to be filled block by block.

        Parameters
        ----------
        rows : int
        n_reasons : int
            Number of reasons per row.

        Returns
        -------
        points : Points
        """
        shape = (rows, n_reasons)
        return cls(np.empty(shape, np.int64), np.empty(shape), np.empty(shape), np.empty(rows))

    def put(self, rows: slice | Indices, block: Points) -> None:
        """Store the reasons of a block of rows.

        Parameters
        ----------
        rows : slice or ndarray of intp
            Positions of the rows.
        block : Points
            Their reasons.
        """
        self.order[rows], self.contributions[rows] = block.order, block.contributions
        self.points[rows], self.other[rows] = block.points, block.other


def to_points(
    calibration: BetaCalibration,
    contributions: Floats,
    base_margin: float,
    probability: Floats,
    base_probability: float,
    n_reasons: int,
) -> Points:
    """Convert SHAP values to points of probability.

    points_k = cal(m_0 + ... + m_k) - cal(m_0 + ... + m_(k-1)), where m_0 is the base margin and m_1, m_2, ... are the
    SHAP values in descending order of their absolute value.

    Parameters
    ----------
    calibration : BetaCalibration
        The function cal.
    contributions : ndarray of float64, shape (n_rows, n_features)
        SHAP values in the order of the schema, in log-odds before calibration.
    base_margin : float
        Base margin of the booster that scored the rows.
    probability : ndarray of float64, shape (n_rows,)
        Calibrated probability of each row.
    base_probability : float
        Probability that the points are added to.
    n_reasons : int
        Number of reasons per row, at most n_features.

    Returns
    -------
    points : Points
        base_probability + points.sum(axis=1) + other = probability.

    References
    ----------
    Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature Machine
    Intelligence 2 (2020).
    """
    order = _largest(contributions, n_reasons)
    largest = contributions[np.arange(len(order))[:, None], order]
    # Margins after 0, 1, 2, ... reasons, shape (1 + n_reasons, n_rows).
    margins = np.empty((1 + n_reasons, len(contributions)))
    margins[0], margins[1:] = base_margin, largest.T
    probabilities = calibration(margins.cumsum(axis=0))
    points = np.diff(probabilities, axis=0)
    other = probability - base_probability
    for step in points:
        other -= step
    points = points.T
    return Points(order, largest, points, other)


def _largest(contributions: Floats, n_reasons: int) -> Ints:
    """Positions of the largest absolute values, in descending order; ties keep the order of the schema."""
    sizes = np.abs(contributions, order="C")
    order = np.empty((len(sizes), n_reasons), dtype=np.int64)
    rows = np.arange(len(sizes))
    for k in range(n_reasons):
        order[:, k] = sizes.argmax(axis=1)
        sizes[rows, order[:, k]] = -1.0
    return order

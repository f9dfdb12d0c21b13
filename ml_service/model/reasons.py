"""Reasons of a score: SHAP values converted to points of probability, largest first.

Law: base_probability + points + other = churn_probability for every row; see docs/definitions.md#reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_service.arrays import Floats, Indices, Ints
from ml_service.model.calibration import BetaCalibration

#: Nearer to the base margin than this, in log-odds, the slope of the calibration replaces the quotient of differences.
MIN_DISTANCE = 1e-6


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

    points_k = phi_k (cal(m) - cal(m_0)) / (m - m_0), where m_0 is the base margin, phi_k are the SHAP values and
    m = m_0 + phi_1 + phi_2 + ...: the Aumann-Shapley values of cal along the straight path. They keep the sign and the
    order of the SHAP values, and don't depend on the order in which these are added.

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

    Aumann, Shapley, "Values of Non-Atomic Games" (1974).
    """
    order = _largest(contributions, n_reasons)
    largest = contributions[np.arange(len(order))[:, None], order]
    base = float(calibration(base_margin))
    distance = _row_sums(contributions)
    near = np.abs(distance) < MIN_DISTANCE
    # Both differences are of the same sum, so that its rounding does not matter where the two margins are near.
    reached = calibration(base_margin + distance)
    rate = (reached - base) / np.where(near, 1.0, distance)
    if near.any():
        rate[near] = calibration.slope(base_margin)
    points = largest * rate[:, None]
    return Points(order, largest, points, probability - base_probability - _row_sums(points))


def _row_sums(values: Floats) -> Floats:
    # Column by column, because NumPy's own sum adds the values of a single row in another order.
    total = np.zeros(len(values))
    for column in values.T:
        total += column
    return total


def _largest(contributions: Floats, n_reasons: int) -> Ints:
    """Positions of the largest absolute values, in descending order; ties keep the order of the schema."""
    sizes = np.abs(contributions, order="C")
    order = np.empty((len(sizes), n_reasons), dtype=np.int64)
    rows = np.arange(len(sizes))
    for k in range(n_reasons):
        order[:, k] = sizes.argmax(axis=1)
        sizes[rows, order[:, k]] = -1.0
    return order

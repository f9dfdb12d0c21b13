"""Why a probability is what it is: contributions to points, in the order shown.

Law: base_probability + points + other = churn_probability, for every row: docs/definitions.md#reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_service.arrays import Floats, Indices, Ints
from ml_service.model.calibration import BetaCalibration


@dataclass(frozen=True)
class Points:
    """Reasons of rows, largest first.

    Attributes
    ----------
    order
        Shape (rows, shown): the feature's position in the schema; ties keep the schema's order.
    contributions
        Shape (rows, shown): SHAP values, log-odds before calibration.
    points
        Shape (rows, shown): change of probability.
    other
        Shape (rows,): points of the features not shown, and of what the base of the scoring model differs from
        `base_probability`.
    """

    order: Ints
    contributions: Floats
    points: Floats
    other: Floats

    @classmethod
    def empty(cls, rows: int, shown: int) -> Points:
        """Room for the reasons of so many rows."""
        shape = (rows, shown)
        return cls(np.empty(shape, np.int64), np.empty(shape), np.empty(shape), np.empty(rows))

    def put(self, rows: slice | Indices, block: Points) -> None:
        """Fill in the reasons of these rows."""
        self.order[rows], self.contributions[rows] = block.order, block.contributions
        self.points[rows], self.other[rows] = block.points, block.other


def to_points(
    calibration: BetaCalibration,
    contributions: Floats,
    base_margin: float,
    probability: Floats,
    base_probability: float,
    shown: int,
) -> Points:
    """Tell contributions in points of probability.

    points_k = cal(m_0 + .. + m_k) - cal(m_0 + .. + m_(k-1)), m_0 the base margin.

    Parameters
    ----------
    contributions
        Shape (rows, features), in the schema's order.
    base_margin
        Of the booster that scored the rows.
    base_probability
        What the points are counted from.
    shown
        How many reasons; no more than there are features.
    """
    order = _largest(contributions, shown)
    largest = contributions[np.arange(len(order))[:, None], order]
    # Margins after none, one, two .. of the reasons, shape (1 + shown, rows).
    margins = np.empty((1 + shown, len(contributions)))
    margins[0], margins[1:] = base_margin, largest.T
    chances = calibration(margins.cumsum(axis=0))
    points = np.diff(chances, axis=0)
    other = probability - base_probability
    for each in points:
        other -= each
    points = points.T
    return Points(order, largest, points, other)


def _largest(contributions: Floats, shown: int) -> Ints:
    """Positions of the largest by size, largest first; of equal ones the first."""
    sizes = np.abs(contributions, order="C")
    order = np.empty((len(sizes), shown), dtype=np.int64)
    rows = np.arange(len(sizes))
    for k in range(shown):
        order[:, k] = sizes.argmax(axis=1)
        sizes[rows, order[:, k]] = -1.0
    return order

"""The 95 % interval of expected leavers, once for both services; see docs/definitions.md#expected-churners.

Law: an interval holds what chance does and what the level of a period does; where the latter is unknown, it says so.
"""

from __future__ import annotations

from math import sqrt

from shared.contracts.report import LevelSpread

#: 97.5 % of the normal distribution.
Z95 = 1.959964


def interval(expected: float, variance: float, level: LevelSpread | None) -> tuple[float, float]:
    """Compute the interval of the number of leavers among customers.

    Parameters
    ----------
    expected : float
        Sum of p over the customers.
    variance : float
        Sum of p (1 - p).
    level : LevelSpread or None
        Of the model; without it, or without its sigma, the interval holds chance alone.

    Returns
    -------
    low, high : float
        At least 0.

    Examples
    --------
    >>> [round(bound, 1) for bound in interval(100.0, 90.0, None)]
    [81.4, 118.6]
    """
    half = Z95 * sqrt(variance)
    if level is not None and level.sigma is not None:
        of_level = (level.sigma * variance) ** 2 * (1 + 1 / level.periods)
        half = level.quantile * sqrt(variance + of_level)
    return max(0.0, expected - half), expected + half

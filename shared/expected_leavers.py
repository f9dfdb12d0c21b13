"""The 95 % interval of expected leavers, once for both services; see docs/definitions.md#expected-churners.

Law: an interval holds what chance does and what the level of a period does; where the latter is unknown, it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from shared.contracts.report import LevelSpread
from shared.wilson import Z95


def interval(expected: float, variance: float, level: LevelSpread | None) -> tuple[float, float]:
    """Compute the interval of the number of leavers among customers.

    Parameters
    ----------
    expected : float
        Sum of p over the customers.
    variance : float
        Sum of p (1 - p).
    level : LevelSpread or None
        Spread of the model's level; without it, or without its sigma, the interval holds chance alone.

    Returns
    -------
    low, high : float
        At least 0.

    Examples
    --------
    >>> [round(bound, 1) for bound in interval(100.0, 90.0, None)]
    [81.4, 118.6]
    """
    return interval_of_periods(expected, [variance], level)


def interval_of_periods(expected: float, variances: Sequence[float], level: LevelSpread | None) -> tuple[float, float]:
    """Compute the interval of the number of leavers in several periods that one model was live in.

    Parameters
    ----------
    expected : float
        Sum of p over all of them.
    variances : sequence of float
        Sum of p (1 - p) of each period. Each strays on its own; what the model's mean level is off by is common.
    level : LevelSpread or None

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> level = LevelSpread(sigma=0.1, periods=9, quantile=2.306)
    >>> [round(bound, 1) for bound in interval_of_periods(200.0, [90.0, 90.0], level)]
    [153.5, 246.5]
    """
    variance = sum(variances)
    half = Z95 * sqrt(variance)
    if level is not None and level.sigma is not None:
        own, common = sum(each**2 for each in variances), variance**2 / level.periods
        half = level.quantile * sqrt(variance + level.sigma**2 * (own + common))
    return max(0.0, expected - half), expected + half

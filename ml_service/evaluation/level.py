"""The level of probabilities: how many leave beside how many were expected, and what is left once that is set right.

Law: chance is computed from the probabilities themselves.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from ml_service import metrics
from ml_service.arrays import Dates, Floats, Ints, Labels
from shared.contracts.api import HORIZON_DAYS, LevelSpread
from shared.contracts.outlook import Judged
from shared.expected_leavers import Z95

#: Probabilities are kept away from 0 and 1 by this, and levels are sought within these log-odds.
EPSILON, WIDEST = 1e-9, 30.0
#: Levels and slopes are warned of outside their intervals widened by this factor: 99.9 % instead of 95 %, because
#: several checks are made.
WARNING = 3.290527 / 1.959964
#: Up to this many rows, the distribution of the number of leavers is exact; above it, it is normal.
EXACT_ROWS = 2_000


def level_offset(leavers: float, probability: Floats) -> float:
    """Find the number that, added to all log-odds, makes the expected leavers equal the observed.

    Parameters
    ----------
    leavers : float
        Observed; 0 and all rows count as half a leaver and half a stayer.
    probability : ndarray of float64, shape (n_rows,)

    Returns
    -------
    offset : float
        In log-odds; above 0 where more left than was said.

    Examples
    --------
    >>> round(level_offset(30, np.full(100, 0.2)), 4)
    0.539
    """
    margin = logit(np.clip(probability, EPSILON, 1 - EPSILON))
    wanted = float(np.clip(leavers, 0.5, len(probability) - 0.5))
    return float(brentq(lambda offset: expit(margin + offset).sum() - wanted, -WIDEST, WIDEST))


def level_set_free(label: Labels, probability: Floats) -> Floats:
    """Shift probabilities so that their sum is the number of leavers; ranks stay.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
    probability : ndarray of float64, shape (n_rows,)

    Returns
    -------
    probability : ndarray of float64, shape (n_rows,)
    """
    offset = level_offset(float(label.sum()), probability)
    return np.asarray(expit(logit(np.clip(probability, EPSILON, 1 - EPSILON)) + offset))


def chance_of_so_few(leavers: int, probability: Floats) -> float:
    """Compute the probability of at most so many leavers if every probability is true.

    Parameters
    ----------
    leavers : int
    probability : ndarray of float64, shape (n_rows,)
        At least one row.

    Returns
    -------
    chance : float
        Probability by the Poisson-binomial distribution; by its normal approximation above 2,000 rows.

    References
    ----------
    Hong, "On computing the distribution function for the Poisson binomial distribution", Computational Statistics &
    Data Analysis 59 (2013).

    Examples
    --------
    >>> round(chance_of_so_few(0, np.array([0.5, 0.5])), 4)
    0.25
    """
    if len(probability) > EXACT_ROWS:
        spread = float(np.sqrt((probability * (1 - probability)).sum()))
        return float(norm.cdf((leavers + 0.5 - probability.sum()) / spread)) if spread else float(leavers >= 0)
    mass = np.zeros(len(probability) + 1)
    mass[0] = 1.0
    for count, p in enumerate(probability, start=1):
        mass[1 : count + 1] = mass[1 : count + 1] * (1 - p) + mass[:count] * p
        mass[0] *= 1 - p
    return float(min(1.0, mass[: leavers + 1].sum()))


def judged(
    label: Labels, probability: Floats, customers: Ints, as_of: Dates, *, days: int, spread: LevelSpread | None
) -> Judged:
    """Set leavers beside expected leavers where rows of a customer share what happens.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
    probability : ndarray of float64, shape (n_rows,)
        Above 0 in sum.
    customers : ndarray of int64, shape (n_rows,)
        The same number for the rows of one customer.
    as_of : ndarray of datetime64[D], shape (n_rows,)
    days : int
        The label says who left within so many days.
    spread : LevelSpread or None
        Spread of the model's level; without it, or without its sigma, the interval holds chance alone.

    Returns
    -------
    judged : Judged
        The interval is that of a ratio of sums over customers (its linearisation), with the spread of the level.

    References
    ----------
    Cochran, *Sampling Techniques* (1977), chapter 6.
    """
    left, expected = float(label.sum()), float(probability.sum())
    ratio = left / expected
    _, number = np.unique(customers, return_inverse=True)
    residuals = np.bincount(number, weights=label - ratio * probability)
    half = Z95 * float(np.sqrt((residuals**2).sum()))
    if spread is not None and spread.sigma is not None:
        stay = np.clip(1 - probability, EPSILON, 1.0)
        # An offset d of the log-odds of 30 days multiplies the hazard by about exp(d).
        per_offset = float(-(stay * np.log(stay)).sum())
        common = spread.sigma**2 * (_shared(as_of, days) + 1 / spread.periods)
        half = spread.quantile * float(np.sqrt((residuals**2).sum() + per_offset**2 * common))
    return Judged(
        n=len(label),
        period=(str(as_of.min()), str(as_of.max())),
        left=int(left),
        ratio=ratio,
        ratio_interval=(ratio - half / expected, ratio + half / expected),
        ece=metrics.ece(label, probability),
        auc=metrics.auc(label, probability),
    )


def _shared(as_of: Dates, days: int) -> float:
    """Sum the squares of the shares that periods of 30 days have in what is judged: 1 for a single one."""
    dates, rows = np.unique(as_of, return_counts=True)
    first = (dates - dates[0]).astype(np.int64)
    judged_days = np.zeros(first[-1] + days)
    for start, count in zip(first.tolist(), rows.tolist(), strict=True):
        judged_days[start : start + days] += count
    periods = np.add.reduceat(judged_days, np.arange(0, len(judged_days), HORIZON_DAYS))
    return float(((periods / periods.sum()) ** 2).sum())


def ratio_warning(what: str, check: Judged) -> str | None:
    """Write a sentence where the interval of left / expected, widened to 99.9 %, leaves out 1."""
    low, high = (check.ratio + WARNING * (bound - check.ratio) for bound in check.ratio_interval)
    if low <= 1 <= high:
        return None
    return (
        f"{what}: {check.left:,} left where {check.left / check.ratio:,.0f} were expected ({check.ratio:.2f} times as "
        "many), more than chance and the spread of past periods explain."
    )

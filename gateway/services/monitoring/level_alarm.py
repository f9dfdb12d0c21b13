"""An alarm on the number of leavers that may be looked at every day: a test martingale over the matured months.

Law: while the level of each month only strays as training found, the evidence exceeds 20 at any time with a probability
of at most 5 %, however often it is looked at. See docs/definitions.md#level-alarm.

References
----------
Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38
(2023). The mixture over the month of a shift is that of Shiryaev and Roberts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import numpy.typing as npt

from database.monitoring.outcome_bins import Bin
from gateway.services.monitoring.figures import EPSILON
from shared.contracts.report import LevelSpread
from shared.expected_leavers import Z95

Floats = npt.NDArray[np.float64]

#: Shifts of the level that are bet on, in log-odds, and the chance of a shift in each month.
SHIFTS = tuple(sign * size for size in (0.25, 0.5) for sign in (-1, 1))
HAZARD = 1 / 8
#: Levels in standard deviations, and their normal weights.
GRID: Floats = np.linspace(-4.0, 4.0, 41)
WEIGHTS: Floats = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()
#: Points at most that a level's cell is averaged over, and the least likelihood: no month rules out everything.
MOST_PARTS, LEAST = 16, 1e-300


@dataclass(frozen=True)
class Month:
    """The predictions of a counted run beside their outcomes, and the spread of the level, with its sigma known."""

    bins: Sequence[Bin]
    level: LevelSpread


def sigma_of(level: LevelSpread, chance: float) -> float:
    """Return the standard deviation of a month's level in log-odds, widened for what few periods tell of it.

    Parameters
    ----------
    level
        Its sigma had the variance of chance taken off, and may be 0: what is widened is the sum of both.
    chance
        Variance that chance gives the level of a month: 1 / sum of p (1 - p).
    """
    assert level.sigma is not None
    wider = (level.quantile / Z95) ** 2 * (1 + 1 / level.periods)
    return sqrt(max(0.0, (level.sigma**2 + chance) * wider - chance))


def evidence(months: Sequence[Month]) -> list[float]:
    """Compute the log of the evidence for a shift after each month.

    It is the likelihood of the outcomes under a mixture of shifts, and of months in which they begin, divided by that
    without a shift; in both, each month's level strays on its own.
    """
    # Weights of no shift so far, and of each shift, divided by the likelihood without one.
    still, shifted, scale, found = 1.0, np.zeros(len(SHIFTS)), 0.0, []
    for month in months:
        of_none, *of_shifts = _likelihoods(month)
        shifted = (shifted + HAZARD * still / len(SHIFTS)) * (np.array(of_shifts) / of_none)
        still *= 1 - HAZARD
        total = still + float(shifted.sum())
        still, shifted, scale = still / total, shifted / total, scale + log(total)
        found.append(scale)
    return found


def _likelihoods(month: Month) -> list[float]:
    """Return the likelihood of a month's outcomes without a shift and after each shift, up to a common factor.

    It is the mean over the levels, and over each level's cell: with many customers, chance is narrower than a cell.
    """
    n, left, total = np.array([each[2:] for each in month.bins], dtype=np.float64).T
    p = np.clip(total / n, EPSILON, 1 - EPSILON)
    chance = 1 / float((n * p * (1 - p)).sum())
    sigma = sigma_of(month.level, chance)
    cell = sigma * (GRID[1] - GRID[0])
    parts = min(MOST_PARTS, 1 + int(cell / sqrt(chance)))
    inside = cell * ((np.arange(parts) + 0.5) / parts - 0.5)
    levels = sigma * GRID[:, None] + inside[None, :]
    offsets = np.array([0.0, *SHIFTS])[:, None, None] + levels[None, :, :]
    told = offsets * left.sum() - np.array([np.log1p(p * np.expm1(at)) @ n for at in offsets.ravel()]).reshape(
        offsets.shape
    )
    by_level = np.exp(told - told.max()).mean(axis=2) + LEAST
    return [float(value) for value in by_level @ WEIGHTS]

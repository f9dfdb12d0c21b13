"""Level spread: how far the churn rate of a period strays from what a model of the periods before says.

Law: the model of a period is fitted only to rows whose outcome was known when the period began.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import t

from ml_service.arrays import Floats
from ml_service.data.dataset import Snapshot
from ml_service.data.splitting import Split
from ml_service.evaluation.level import level_offset
from ml_service.model.cross_validation import Progress
from ml_service.training.candidates import own_levels, probability
from ml_service.training.fitting import Fitted
from ml_service.training.rolling_origins import Origin, roll
from shared.contracts.api import LevelSpread
from shared.expected_leavers import Z95

#: A period counts with at least this many expected leavers.
MIN_EXPECTED = 10
#: Fewer periods give no spread.
MIN_PERIODS = 4


def level_spread(snapshot: Snapshot, split: Split, fitted: Fitted, origins: Sequence[Origin]) -> LevelSpread | None:
    """Estimate the spread of the level between periods, by rolling origins.

    For each period, the number is found that sets the level right of what the model of its origin says of its rows. The
    spread is the standard deviation of these numbers, with the variance that chance gives them taken off. Where the
    live model has a window or a level of the time of year, so have the models of the periods.

    Parameters
    ----------
    snapshot : Snapshot
    split : Split
        Training and test rows of the snapshot.
    fitted : Fitted
        To the snapshot.
    origins : sequence of Origin
        As `roll_live` made them.

    Returns
    -------
    spread : LevelSpread or None
        None without dates; without sigma where there are fewer than four periods.
    """
    if fitted.choice is None:
        return None
    live, way, past = fitted.live, fitted.choice.way, None
    if way.form is not None:
        past = own_levels(live, snapshot.take(split.rows))
    periods = []
    for origin in origins:
        said = probability(snapshot, origin, way, past, live)
        if said is None:
            said = live.calibration(origin.margins[None])
        periods.append((said, float(snapshot.label[origin.rows].sum())))
    return spread_of(periods)


def roll_live(snapshot: Snapshot, split: Split, fitted: Fitted, progress: Progress) -> list[Origin]:
    """Fit the live model's configuration at the beginning of past periods.

    Parameters
    ----------
    snapshot : Snapshot
    split : Split
        Training and test rows of the snapshot.
    fitted : Fitted
        To the snapshot.
    progress : callable
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    origins : list of Origin
        The newest first; none without dates.
    """
    if fitted.choice is None:
        return []
    window = fitted.choice.way.window
    windows = () if window is None else (window,)
    return roll(snapshot, split.rows, fitted.searched, progress, windows=windows, fitted=fitted.choice.origins)


def spread_of(periods: Iterable[tuple[Floats, float]]) -> LevelSpread:
    """Compute the spread of the level between periods.

    Parameters
    ----------
    periods : iterable of (ndarray of float64, float)
        Probabilities of the rows of each period, and how many of them left.

    Returns
    -------
    spread : LevelSpread
        Without sigma where there are fewer than four periods with enough expected leavers.
    """
    offsets, chances = [], []
    for said, leavers in periods:
        if said.sum() >= MIN_EXPECTED:
            offsets.append(level_offset(leavers, said))
            chances.append(1 / float((said * (1 - said)).sum()))
    if len(offsets) < MIN_PERIODS:
        return LevelSpread(sigma=None, periods=len(offsets), quantile=Z95)
    variance = float(np.var(offsets, ddof=1) - np.mean(chances))
    return LevelSpread(
        sigma=float(np.sqrt(max(0.0, variance))),
        periods=len(offsets),
        quantile=float(t.ppf(0.975, len(offsets) - 1)),
    )

"""Horizons: fits a calibration of the score's margins for each longer horizon, and judges it on later dates.

Law: a horizon without a judgement is left out with the reason; the calibration that is judged knows only outcomes that
were known when the judged dates began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml_service.arrays import Dates, Flags, Floats, Indices, Ints
from ml_service.data.dataset import Snapshot
from ml_service.data.later_outcomes import LaterOutcomes
from ml_service.data.splitting import MAX_TEST_PERIODS, TEST_PARTS, Split
from ml_service.evaluation.level import judged
from ml_service.model.calibration import BetaCalibration, fit_beta
from ml_service.model.outlook import Horizon
from ml_service.training.fitting import Fitted
from ml_service.training.rolling_origins import Origin, newest_dates
from shared.contracts.api import LevelSpread
from shared.contracts.outlook import LATER_HORIZONS, Calibration, HorizonCheck, Judged

#: A calibration is fitted where at least this many customers left, and as many rows stayed.
MIN_LEAVERS = 50
NO_DATES = "The table has no dates, so nothing says who left later than its label does."
NO_ENDS = "The rows came without dated ends of subscriptions, so it is not known who left later."
TOO_SHORT = (
    "Follow-up is too short: to calibrate {days} days and to judge that on later dates, ends have to be known for "
    "{needed} days after the first date that the model learns from."
)


@dataclass(frozen=True)
class _Rows:
    """The usable rows of a snapshot with their margins by boosters that were not fitted to the customer."""

    margins: Floats
    as_of: Dates
    customers: Ints
    later: LaterOutcomes
    grace_days: int

    def known_by(self, day: np.datetime64, days: int) -> Flags:
        """Mark the rows whose outcome within so many days was known on a day."""
        known: Flags = self.later.is_known(days) & (self.as_of + np.timedelta64(days + self.grace_days, "D") <= day)
        return known

    def calibration(self, rows: Flags, days: int) -> BetaCalibration | None:
        """Fit to rows with a known outcome; None where too few left."""
        label = self.later.left_within[days][rows]
        leavers = len(np.unique(self.customers[rows][label == 1]))
        if leavers < MIN_LEAVERS or int((label == 0).sum()) < MIN_LEAVERS:
            return None
        return fit_beta(self.margins[rows], label)


def customers_of(snapshot: Snapshot) -> Ints:
    """The key of each row's customer; a row without one is a customer of its own."""
    valid = snapshot.row_keys.is_valid().to_numpy(zero_copy_only=False)
    keys = np.asarray(snapshot.row_keys.fill_null(0), dtype=np.int64)
    return np.where(valid, keys, -1 - np.arange(len(valid)))


def fit_horizons(
    snapshot: Snapshot, split: Split, fitted: Fitted, origins: Sequence[Origin], spread: LevelSpread | None
) -> tuple[list[Horizon], list[HorizonCheck]]:
    """Fit and judge the longer horizons.

    Parameters
    ----------
    snapshot : Snapshot
    split : Split
        Training and test rows of the snapshot.
    fitted : Fitted
        Just now, so that the live model has the out-of-fold margins of its rows.
    origins : sequence of Origin
        The newest first.
    spread : LevelSpread or None
        Spread of the model's level, for the intervals.

    Returns
    -------
    horizons : list of Horizon
    checks : list of HorizonCheck
        Checks of the same horizons.
    """
    if snapshot.as_of is None or snapshot.later is None:
        reason = NO_DATES if snapshot.as_of is None else NO_ENDS
        left_out = [HorizonCheck(days=days, judged=None, reason=reason) for days in LATER_HORIZONS]
        return [Horizon(days, reason=reason) for days in LATER_HORIZONS], left_out
    window = None if fitted.choice is None else fitted.choice.way.window
    rows = _rows(snapshot, split.rows[newest_dates(snapshot.as_of[split.rows], window)], fitted)
    periods = [_Period(snapshot, origin, window) for origin in origins]
    found = [_horizon(rows, days, periods, fitted.live.calibration, spread) for days in LATER_HORIZONS]
    return [horizon for horizon, _ in found], [check for _, check in found]


def _rows(snapshot: Snapshot, at: Indices, fitted: Fitted) -> _Rows:
    part, margins = snapshot.take(at), fitted.live.out_of_fold_margins
    assert part.as_of is not None
    assert part.later is not None
    assert margins is not None
    return _Rows(margins, part.as_of, customers_of(part), part.later, part.grace_days)


class _Period:
    """The rows of a period, with the margins of a booster that knows what was known when it began."""

    def __init__(self, snapshot: Snapshot, origin: Origin, window: int | None) -> None:
        part = snapshot.take(origin.rows)
        assert part.as_of is not None
        assert part.later is not None
        self.margins = origin.margins.get(window, origin.margins[None])
        self.as_of, self.later, self.customers = part.as_of, part.later, customers_of(part)


def _horizon(
    rows: _Rows, days: int, periods: Sequence[_Period], own: BetaCalibration, spread: LevelSpread | None
) -> tuple[Horizon, HorizonCheck]:
    known = [period for period in periods if period.later.is_known(days).all()]
    live = rows.calibration(rows.later.is_known(days), days)
    # The test takes the newest known periods, fewer of them where nothing was known before.
    for count in range(max(1, min(MAX_TEST_PERIODS, len(known) // TEST_PARTS)), 0, -1):
        newest = known[:count]
        before = rows.calibration(rows.known_by(newest[-1].as_of.min(), days), days) if newest else None
        if before is not None and live is not None:
            check = _judge(newest, days, own, before, spread)
            stored = Calibration(**live.as_dict())
            return Horizon(days, live), HorizonCheck(days=days, judged=check, reason=None, calibration=stored)
    reason = TOO_SHORT.format(days=days, needed=2 * (days + rows.grace_days))
    return Horizon(days, reason=reason), HorizonCheck(days=days, judged=None, reason=reason)


def _judge(
    periods: Sequence[_Period], days: int, own: BetaCalibration, before: BetaCalibration, spread: LevelSpread | None
) -> Judged:
    margins = np.concatenate([period.margins for period in periods])
    return judged(
        np.concatenate([period.later.left_within[days] for period in periods]),
        np.maximum(own(margins), before(margins)),
        np.concatenate([period.customers for period in periods]),
        np.concatenate([period.as_of for period in periods]),
        days=days,
        spread=spread,
    )

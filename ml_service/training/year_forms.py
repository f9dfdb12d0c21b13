"""The forms that a level of the time of year can have, fitted to how the level has moved between periods.

Law: a form has the mean 0 over the rows that it was fitted to, because their mean is the model's own affair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_service.arrays import Dates, Floats, Labels
from ml_service.data.splitting import periods
from ml_service.evaluation.level import level_offset
from shared.contracts.report import TimeOfYear, YearForm
from shared.time_of_year import DAYS_OF_A_YEAR

FORMS: tuple[YearForm, ...] = ("harmonic", "calendar_month", "slow_level")
#: Weight of the newest period in the slow level; half the weight is on the newest three.
NEWEST_WEIGHT = 0.2
MONTHS = 12


@dataclass(frozen=True)
class PeriodLevels:
    """How the outcomes of each period strayed from the model's out-of-fold probabilities, oldest period first.

    Attributes
    ----------
    days : ndarray of datetime64[D], shape (n_periods,)
        Mean date of its rows.
    last : ndarray of datetime64[D], shape (n_periods,)
        Newest date of its rows.
    offsets : ndarray of float64, shape (n_periods,)
        In log-odds.
    weights : ndarray of float64, shape (n_periods,)
        Sum of p (1 - p): the inverse of the variance that chance gives the offset.
    """

    days: Dates
    last: Dates
    offsets: Floats
    weights: Floats

    def until(self, day: np.datetime64) -> PeriodLevels:
        """Those of the periods whose rows are all of this date or earlier."""
        at = self.last <= day
        return PeriodLevels(self.days[at], self.last[at], self.offsets[at], self.weights[at])


def period_levels(as_of: Dates, label: Labels, probability: Floats) -> PeriodLevels:
    """Compute the level of each period.

    Parameters
    ----------
    as_of : ndarray of datetime64[D], shape (n_rows,)
    label : ndarray of int8, shape (n_rows,)
    probability : ndarray of float64, shape (n_rows,)
        Out of fold.

    Returns
    -------
    levels : PeriodLevels
    """
    starts = np.array(periods(as_of)[::-1], dtype="datetime64[D]")
    of_row = np.searchsorted(starts, as_of, side="right") - 1
    days, last, offsets, weights = [], [], [], []
    for number in range(len(starts)):
        at = of_row == number
        days.append(as_of[at].astype(np.int64).mean())
        last.append(as_of[at].max())
        offsets.append(level_offset(float(label[at].sum()), probability[at]))
        weights.append(float((probability[at] * (1 - probability[at])).sum()))
    middle = np.array(days).round().astype("datetime64[D]")
    return PeriodLevels(middle, np.array(last, dtype="datetime64[D]"), np.array(offsets), np.array(weights))


def fit_form(form: YearForm, levels: PeriodLevels) -> TimeOfYear:
    """Fit a form of the time of year to the levels of past periods.

    Parameters
    ----------
    form : {"harmonic", "calendar_month", "slow_level"}
        One cosine and one sine of the day of the year; an effect of each calendar month, shrunk by empirical Bayes; or
        an exponentially weighted mean of the newest periods.
    levels : PeriodLevels

    Returns
    -------
    year : TimeOfYear

    References
    ----------
    DerSimonian, Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7 (1986), for the variance
    between the months.
    """
    mean = float(np.average(levels.offsets, weights=levels.weights))
    if form == "harmonic":
        return _harmonic(levels)
    if form == "calendar_month":
        return _calendar_month(levels, mean)
    decay = NEWEST_WEIGHT * (1 - NEWEST_WEIGHT) ** np.arange(len(levels.offsets))[::-1]
    # The rest of the weight, up to 1, is on the mean: a short history is shrunk towards it.
    return TimeOfYear(form=form, constant=float((decay * (levels.offsets - mean)).sum()))


def _harmonic(levels: PeriodLevels) -> TimeOfYear:
    days = levels.days - levels.days.astype("datetime64[Y]").astype("datetime64[D]") + np.timedelta64(1, "D")
    angle = 2 * np.pi * days.astype(np.int64) / DAYS_OF_A_YEAR
    waves = np.column_stack([np.cos(angle), np.sin(angle)])
    root = np.sqrt(levels.weights)
    design = np.column_stack([np.ones(len(angle)), waves])
    (_, cosine, sine), *_ = np.linalg.lstsq(design * root[:, None], levels.offsets * root)
    mean = np.average(waves @ [cosine, sine], weights=levels.weights)
    return TimeOfYear(form="harmonic", constant=-float(mean), cosine=float(cosine), sine=float(sine))


def _calendar_month(levels: PeriodLevels, mean: float) -> TimeOfYear:
    month = levels.days.astype("datetime64[M]").astype(np.int64) % MONTHS
    weight = np.bincount(month, levels.weights, minlength=MONTHS)
    total = np.bincount(month, levels.weights * (levels.offsets - mean), minlength=MONTHS)
    seen = weight > 0
    effect, known = total[seen] / weight[seen], weight[seen]
    spread = float((known * effect**2).sum()) - (len(known) - 1)
    scale = known.sum() - (known**2).sum() / known.sum()
    between = max(0.0, spread / scale) if scale > 0 else 0.0
    months = np.zeros(MONTHS)
    months[seen] = effect * between * known / (1 + between * known)
    constant = -float(np.average(months[month], weights=levels.weights))
    return TimeOfYear(form="calendar_month", constant=constant, months=months.tolist())

"""Candidates: windows of the newest dates and levels of the time of year, beside all dates and no level.

Law: the choice is made on training rows, and "all dates, no level" stands unless the interval of a candidate's
difference lies below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import t

from ml_service import metrics
from ml_service.arrays import Floats
from ml_service.data.dataset import Snapshot
from ml_service.data.splitting import Split, periods
from ml_service.data.year_levels import levels
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import Progress
from ml_service.training.rolling_origins import Origin, lag_days, roll
from ml_service.training.year_forms import FORMS, MONTHS, PeriodLevels, fit_form, period_levels
from shared.contracts.report import Candidate, RollingChoice, YearForm

#: Anything is tried from this many dates on, and a candidate that can be judged on this many origins.
MIN_DATES, MIN_ORIGINS = 24, 6
WINDOWS = (12, 24)
ALL = "all dates, no level"


@dataclass(frozen=True)
class Way:
    """A way to fit: to all dates or to the newest ones, with or without a level.

    Attributes
    ----------
    window : int or None
        Number of newest dates; None stands for all.
    form : str or None
        Form of the time of year; None without a level.
    """

    window: int | None = None
    form: YearForm | None = None

    @property
    def name(self) -> str:
        """In words."""
        dates = "all dates" if self.window is None else f"newest {self.window} dates"
        return f"{dates}, {'no level' if self.form is None else self.form.replace('_', ' ')}"


@dataclass(frozen=True)
class Choice:
    """The way that was chosen.

    Attributes
    ----------
    way : Way
    told : RollingChoice
        Windows and levels that were tried, for the report.
    origins : list of Origin
        Origins that were fitted for it.
    """

    way: Way
    told: RollingChoice
    origins: list[Origin] = field(default_factory=list)


def choose(snapshot: Snapshot, split: Split, sibling: ChurnModel, progress: Progress) -> Choice | None:
    """Choose the window and the level by rolling origins among the training rows.

    Parameters
    ----------
    snapshot : Snapshot
    split : Split
        Training and test rows of the snapshot.
    sibling : ChurnModel
        Fitted to all training rows: its parameters, its calibration and its out-of-fold margins are used.
    progress : callable
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    choice : Choice or None
        None for a split that is not by time.
    """
    if split.kind != "time" or snapshot.as_of is None:
        return None
    dates = len(periods(snapshot.as_of[split.rows]))
    if dates < MIN_DATES:
        why = f"windows and levels are tried from {MIN_DATES} dates on, and there are {dates}"
        return Choice(Way(), RollingChoice(lag_days=lag_days(snapshot), candidates=[], chosen=ALL, why=why))
    return choose_among(snapshot, split, sibling, roll(snapshot, split.training, sibling, progress, windows=WINDOWS))


def choose_among(snapshot: Snapshot, split: Split, sibling: ChurnModel, origins: list[Origin]) -> Choice:
    """Choose the window and the level by what models of the past say of the rows of origins.

    Parameters
    ----------
    snapshot, split, sibling
        As in `choose`.
    origins : list of Origin
        Among the training rows.

    Returns
    -------
    choice : Choice
    """
    losses = _losses(snapshot, split, sibling, origins)
    candidates = [_judged(way, losses) for way in losses]
    better = [each for each in candidates if each.interval is not None and each.interval[1] < 0]
    best = min(better, key=lambda each: each.difference or 0.0, default=candidates[0])
    chosen = next(way for way in losses if way.name == best.name)
    told = RollingChoice(
        lag_days=lag_days(snapshot), candidates=candidates, chosen=best.name, why=_why(candidates, best)
    )
    return Choice(chosen, told, origins)


def _losses(
    snapshot: Snapshot, split: Split, sibling: ChurnModel, origins: Sequence[Origin]
) -> dict[Way, dict[int, float]]:
    """The log loss of each way on each origin's period on which it differs from the first, all dates and no level."""
    past = own_levels(sibling, snapshot.take(split.training))
    ways = [Way(), *(Way(window=window) for window in WINDOWS), *(Way(form=form) for form in FORMS)]
    losses: dict[Way, dict[int, float]] = {way: {} for way in ways}
    for number, origin in enumerate(origins):
        for way in ways:
            said = probability(snapshot, origin, way, past, sibling)
            if said is not None:
                losses[way][number] = metrics.log_loss(snapshot.label[origin.rows], said)
    return losses


def own_levels(model: ChurnModel, rows: Snapshot) -> PeriodLevels:
    """The levels of the periods of the rows that a model was fitted to, beside its out-of-fold probabilities."""
    assert rows.as_of is not None
    assert model.out_of_fold_margins is not None
    return period_levels(rows.as_of, rows.label, model.calibration(model.out_of_fold_margins))


def probability(
    snapshot: Snapshot, origin: Origin, way: Way, past: PeriodLevels | None, model: ChurnModel
) -> Floats | None:
    """The predictions of a candidate for the rows of an origin.

    Parameters
    ----------
    snapshot : Snapshot
    origin : Origin
        An origin of the snapshot.
    way : Way
    past : PeriodLevels or None
        Levels of all periods; those that were known at the origin are used for a level.
    model : ChurnModel
        Calibrates.

    Returns
    -------
    probability : ndarray of float64, shape (n_rows,), or None
        None where the window is not shorter than the history, or a level would be fitted to less than a year.
    """
    assert snapshot.as_of is not None
    if way.window not in origin.margins:
        return None
    margins = origin.margins[way.window]
    if way.form is None or past is None:
        return model.calibration(margins)
    known = past.until(snapshot.as_of[origin.known].max())
    if len(known.days) < MONTHS:
        return None
    as_of = snapshot.as_of[origin.rows]
    return model.calibration(margins, levels(fit_form(way.form, known), as_of, len(as_of)))


def _judged(way: Way, losses: dict[Way, dict[int, float]]) -> Candidate:
    """A candidate beside all dates and no level, on the periods on which it differs."""
    own, reference = losses[way], losses[Way()]
    difference, interval = None, None
    if way != Way() and len(own) >= MIN_ORIGINS:
        each = np.array([own[number] - reference[number] for number in own])
        difference = float(each.mean())
        # Over the periods and not over the customers: what strikes all customers of a month counts once.
        half = float(t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
        interval = (difference - half, difference + half)
    return Candidate(
        name=way.name,
        window=way.window,
        level=way.form or "none",
        origins=len(own),
        log_loss=float(np.mean(list(own.values()))) if len(own) >= MIN_ORIGINS else None,
        difference=difference,
        interval=interval,
    )


def _why(candidates: Sequence[Candidate], best: Candidate) -> str:
    judged = [each for each in candidates if each.interval is not None]
    if best.interval is not None:
        low, high = best.interval
        return (
            f"its log loss is {-(best.difference or 0):.5f} lower over {best.origins} periods "
            f"(95 % interval of the difference {low:+.5f} to {high:+.5f})"
        )
    if not judged:
        return f"no candidate differs on {MIN_ORIGINS} periods"
    return "no candidate's interval of the difference in log loss lies below 0"

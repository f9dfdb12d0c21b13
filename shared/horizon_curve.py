"""Staying after the first month, as a function of the score: every horizon is a calibration of the score's own margin.

Law: plain Python; what it says of a score is what the model says of it, to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import exp, log, log1p

from shared.contracts.api import HORIZON_DAYS
from shared.contracts.outlook import Calibration, OutlookReport
from shared.lifetime import hazards_within

#: Margins are looked for within these log-odds: no score of a model lies beyond.
_FURTHEST = 60.0
_HALVINGS = 60
#: At 0 and 1 there are no log-odds.
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Beta:
    """A beta calibration, as `Calibration`, of one margin."""

    a: float
    b: float
    c: float

    def log_odds(self, margin: float) -> float:
        """Return the log-odds of the calibrated probability."""
        rest = log1p(exp(-abs(margin)))
        return self.b * max(margin, 0.0) + self.a * min(margin, 0.0) + (self.b - self.a) * rest + self.c


@dataclass(frozen=True)
class HorizonCurve:
    """The later horizons of a model on one date.

    Attributes
    ----------
    score : Beta or None
        Calibration of the score itself; None where there are no later horizons.
    later : tuple of (int, Beta)
        Days and calibration, ascending.
    level : float
        Log-odds that the date adds to the score, and to no other horizon.
    """

    score: Beta | None = None
    later: tuple[tuple[int, Beta], ...] = ()
    level: float = 0.0

    @property
    def months(self) -> int:
        """How many months the horizons reach."""
        return self.later[-1][0] // HORIZON_DAYS if self.later else 1

    def within(self, probability: float) -> list[tuple[int, float]]:
        """Return days and the probability of leaving within them, of a score; the first is the score."""
        found, highest = [(HORIZON_DAYS, probability)], probability
        margin = self._margin(probability) if self.later else 0.0
        for days, calibration in self.later:
            highest = max(highest, 1 / (1 + exp(-calibration.log_odds(margin))))
            found.append((days, highest))
        return found

    def _margin(self, probability: float) -> float:
        """The margin of a score, by halving: the log-odds only rise with it."""
        assert self.score is not None
        p = min(max(probability, _SMALLEST), 1 - _SMALLEST)
        wanted, low, high = log(p) - log1p(-p) - self.level, -_FURTHEST, _FURTHEST
        for _ in range(_HALVINGS):
            margin = (low + high) / 2
            low, high = (margin, high) if self.score.log_odds(margin) < wanted else (low, margin)
        return (low + high) / 2


def curve_of(report: OutlookReport | None, level: float) -> HorizonCurve | None:
    """Return the curve of a model's report; None where an older report judges horizons without their calibrations.

    Parameters
    ----------
    report : OutlookReport or None
        None for a model without an outlook.
    level : float
        Level of the date, in log-odds.
    """
    judged = [each for each in report.horizons if each.judged is not None] if report is not None else []
    if report is None or not judged:
        return HorizonCurve()
    own = report.score
    # A score that is the same for every margin tells of no horizon.
    if own is None or own.a + own.b == 0 or any(each.calibration is None for each in judged):
        return None
    later = tuple((each.days, _beta(each.calibration)) for each in judged if each.calibration is not None)
    return HorizonCurve(_beta(own), later, level)


def _beta(stored: Calibration) -> Beta:
    return Beta(stored.a, stored.b, stored.c)


def staying(curve: HorizonCurve, probability: float) -> tuple[float, ...]:
    """Compute the share of those who stay through the first month who are there after 1, 2 .. months of the curve.

    Parameters
    ----------
    curve : HorizonCurve
    probability : float
        The score.

    Returns
    -------
    shares : tuple of float, length `curve.months`
        From 1, never rising.
    """
    hazards = hazards_within(curve.within(probability), HORIZON_DAYS)[1:]
    return tuple(accumulate((1 - hazard for hazard in hazards), lambda left, stays: left * stays, initial=1.0))

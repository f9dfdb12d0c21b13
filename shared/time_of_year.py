"""The level of the time of year: what a date adds to the log-odds of every score; see docs/definitions.md#time-of-year.

Law: on one date it is one number for everybody, so that it changes no ranking and no points of a feature.
"""

from __future__ import annotations

from datetime import date
from math import cos, exp, log, pi, sin

from shared.contracts.report import TimeOfYear

DAYS_OF_A_YEAR = 365.25
NO_DATE = "This model has a level for the time of year, and the row has no date: no level was added."


def level_at(year: TimeOfYear | None, day: date) -> float:
    """Compute the level of a date, in log-odds.

    Parameters
    ----------
    year : TimeOfYear or None
        The model's level of the time of year; without it, the level is 0.
    day : date
        The `as_of` of the score.

    Returns
    -------
    level : float

    Examples
    --------
    >>> level_at(TimeOfYear(form="calendar_month", constant=0.1, months=[0.2] + [0.0] * 11), date(2026, 1, 31))
    0.30000000000000004
    """
    if year is None:
        return 0.0
    angle = 2 * pi * day.timetuple().tm_yday / DAYS_OF_A_YEAR
    of_month = year.months[day.month - 1] if year.months else 0.0
    return year.constant + year.cosine * cos(angle) + year.sine * sin(angle) + of_month


def points_of(level: float, probability: float) -> float:
    """Compute by how much a level changes a probability that holds it: the bar "time of year".

    Parameters
    ----------
    level : float
        In log-odds.
    probability : float
        With the level.

    Returns
    -------
    points : float
        `probability` minus the probability without the level.

    Examples
    --------
    >>> round(points_of(0.5, 0.2), 4)
    0.0683
    """
    if level == 0 or not 0 < probability < 1:
        return 0.0
    return probability - 1 / (1 + exp(level - log(probability / (1 - probability))))

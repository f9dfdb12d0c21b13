"""The level of the time of year of each row, from its date; see docs/definitions.md#time-of-year.

Law: a row without a date has no level.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ml_service.arrays import Dates, Floats
from shared.contracts.api import TimeOfYear
from shared.time_of_year import NO_DATE, level_at


def levels(year: TimeOfYear | None, as_of: Dates | None, rows: int) -> Floats:
    """Compute the level of the time of year of each row.

    Parameters
    ----------
    year : TimeOfYear or None
        None: every level is 0.
    as_of : ndarray of datetime64[D], shape (n_rows,), or None
        Date of each row; NaT for a row without one, whose level is 0.
    rows : int
        Number of rows.

    Returns
    -------
    levels : ndarray of float64, shape (n_rows,)
        In log-odds.
    """
    if year is None or as_of is None:
        return np.zeros(rows)
    days, at = np.unique(as_of, return_inverse=True)
    of_day = [0.0 if np.isnat(day) else level_at(year, day.astype(object)) for day in days]
    return np.array(of_day, dtype=np.float64)[at]


def undated_rows(year: TimeOfYear | None, as_of: Dates | None, rows: int) -> Iterator[str]:
    """Write a sentence where a model has a level and rows have no date.

    Parameters
    ----------
    year : TimeOfYear or None
        The model's level of the time of year.
    as_of : ndarray of datetime64[D], shape (n_rows,), or None
    rows : int
        Number of rows.

    Yields
    ------
    note : str
    """
    undated = 0 if year is None else rows if as_of is None else int(np.isnat(as_of).sum())
    if undated:
        yield f"{NO_DATE} ({undated:,} of {rows:,} rows)"

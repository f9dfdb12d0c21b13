"""Thinning: keeps rows of a customer whose 30-day windows hardly overlap, and counts the leavers among rows.

Law: a departure is evidence once, however many rows of the customer show it.

Weekly or daily snapshots repeat one departure in several labels. Counted as independent, they make noise look like a
signal and every interval too narrow.
"""

from __future__ import annotations

import numpy as np

from ml_service.arrays import Dates, Indices, Ints, Labels
from shared.contracts.api import HORIZON_DAYS

#: Rows of one customer lie at least this many days apart: a month of February loses nothing.
MIN_DAYS_APART = HORIZON_DAYS - 3


def thin(customers: Ints, as_of: Dates, seed: int) -> Indices:
    """Choose rows of each customer that lie at least 27 days apart.

    Each customer begins with a random one of the rows in its first 27 days, so that all dates stay in use.

    Parameters
    ----------
    customers : ndarray of int64, shape (n_rows,)
        The same number for the rows of one customer.
    as_of : ndarray of datetime64[D], shape (n_rows,)
        Date of each row.
    seed : int

    Returns
    -------
    kept : ndarray of intp, shape (n_kept,)
        Positions of the rows, in ascending order; all rows if none lie too close.

    Examples
    --------
    >>> days = np.array(["2026-01-31", "2026-02-28", "2026-03-01"], dtype="datetime64[D]")
    >>> thin(np.array([7, 7, 7]), days, seed=0).tolist()
    [0, 1]
    """
    order = np.lexsort((as_of, customers))
    moment = _on_one_axis(customers[order], as_of[order])
    if not len(moment) or np.diff(moment).min(initial=MIN_DAYS_APART) >= MIN_DAYS_APART:
        return np.arange(len(customers))
    firsts = np.flatnonzero(np.diff(customers[order], prepend=customers[order][0] - 1))
    last_of_customer = np.append(firsts[1:], len(order))
    choices = np.searchsorted(moment, moment[firsts] + MIN_DAYS_APART)
    rng = np.random.default_rng((seed, 0x7417))
    at = firsts + rng.integers(0, np.minimum(choices, last_of_customer) - firsts)
    kept = []
    while len(at):
        kept.append(at)
        following = np.searchsorted(moment, moment[at] + MIN_DAYS_APART)
        goes_on = following < last_of_customer
        at, last_of_customer = following[goes_on], last_of_customer[goes_on]
    return np.sort(order[np.concatenate(kept)])


def _on_one_axis(customers: Ints, as_of: Dates) -> Ints:
    """Days on one axis on which two customers never come near each other; sorted if the rows are."""
    days = as_of.astype(np.int64)
    span = int(days.max() - days.min()) + MIN_DAYS_APART if len(days) else 0
    _, number = np.unique(customers, return_inverse=True)
    return np.asarray(number * (span + MIN_DAYS_APART) + days - days.min(initial=np.iinfo(np.int64).max))


def count_leavers(label: Labels, customers: Ints, as_of: Dates | None) -> int:
    """Count the departures that the labels show: two rows of a customer within 30 days show the same one.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    customers : ndarray of int64, shape (n_rows,)
        The same number for the rows of one customer.
    as_of : ndarray of datetime64[D], shape (n_rows,), or None
        Date of each row; without dates, each row with label 1 is a leaver.

    Returns
    -------
    leavers : int

    Examples
    --------
    >>> days = np.array(["2026-01-01", "2026-01-28", "2026-06-01"], dtype="datetime64[D]")
    >>> count_leavers(np.array([1, 1, 1], np.int8), np.array([7, 7, 7]), days)
    2
    """
    left = np.flatnonzero(label == 1)
    if as_of is None or not len(left):
        return len(left)
    order = left[np.lexsort((as_of[left], customers[left]))]
    same = np.diff(customers[order]) == 0
    near = np.diff(as_of[order]) < np.timedelta64(HORIZON_DAYS, "D")
    return len(left) - int(np.count_nonzero(same & near))

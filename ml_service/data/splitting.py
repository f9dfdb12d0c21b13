"""Splitting: training and test rows, and the folds of cross-validation.

Law: no customer is on both sides of a split, unless the split is by time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml_service.arrays import Dates, Flags, Folds, Hashes, Indices, Ints, Labels
from ml_service.data.thinning import MIN_DAYS_APART, count_leavers
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS
from shared.errors import InsufficientData

#: Minimum numbers of leavers and of stayers: in all rows, in the training rows and in the test rows.
MIN_ROWS, MIN_TRAINING, MIN_TEST = 25, 15, 5
#: Number of folds; fewer on large tables, where more training rows per fold change nothing.
FOLDS, FOLDS_OF_MANY_ROWS, MANY_ROWS = 5, 3, 60_000
#: The test: at most this many periods, and one of this many; fewer if training would keep under this many leavers.
MAX_TEST_PERIODS, TEST_PARTS, ENOUGH_LEAVERS = 3, 4, 500


@dataclass(frozen=True)
class Split:
    """Training and test rows.

    Attributes
    ----------
    kind : {"time", "stratified"}
    rows : ndarray of int64, shape (n_rows,)
        Positions of all usable rows, in ascending order: those of training and test, and those dated between the two.
    training : ndarray of int64, shape (n_training,)
        Positions of the training rows, in ascending order.
    test : ndarray of int64, shape (n_test,)
        Positions of the test rows, in ascending order.
    labels_known : bool, default=True
        Whether the outcomes of all training rows were known when the test began.
    """

    kind: Literal["time", "stratified"]
    rows: Ints
    training: Ints
    test: Ints
    labels_known: bool = True

    def among(self, rows: Indices) -> Split:
        """The split of a table, where this is the split of some of its rows, given by their positions."""
        return Split(self.kind, rows[self.rows], rows[self.training], rows[self.test], self.labels_known)


def stratified_group_folds(groups: Ints, label: Labels, parts: int, seed: int) -> Folds:
    """Assign rows to folds of similar size and prevalence; the rows of a group share their fold.

    Parameters
    ----------
    groups : ndarray of int64, shape (n_rows,)
        The same number for rows of one group.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    parts : int
        Number of folds.
    seed : int

    Returns
    -------
    folds : ndarray of int8, shape (n_rows,)
        From 0 to parts - 1.

    Examples
    --------
    >>> groups, label = np.array([7, 7, 8, 9]), np.array([1, 0, 1, 0], np.int8)
    >>> folds = stratified_group_folds(groups, label, 2, seed=0)
    >>> bool(folds[0] == folds[1])
    True
    """
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    leavers = np.bincount(inverse, weights=label, minlength=len(sizes))
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(sizes)), sizes, leavers))
    rounds = -(-len(sizes) // parts)
    dealt = rng.permuted(np.tile(np.arange(parts, dtype=np.int8), (rounds, 1)), axis=1).ravel()
    part_of_group = np.empty(len(sizes), dtype=np.int8)
    part_of_group[order] = dealt[: len(sizes)]
    return np.asarray(part_of_group[inverse])


def split_rows(
    label: Labels,
    as_of: Dates | None,
    groups: Ints,
    seed: int,
    *,
    named: str | None = None,
    grace_days: int = GRACE_DAYS,
    order: Hashes | None = None,
) -> Split:
    """Split rows into training and test rows.

    Rows of more than one period (`periods`) are split by time. The newest periods are the test rows: three, a quarter
    of them at most, at least one; fewer where the training rows would keep under 500 leavers. Training rows are those
    whose outcome was known when the test began. Where these are too few, all rows whose windows end before the test
    are taken, and `Split.labels_known` is false. Otherwise a quarter of the groups, stratified by label, is the test.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    as_of : ndarray of datetime64[D], shape (n_rows,), or None
        Date of each row.
    groups : ndarray of int64, shape (n_rows,)
        The customer of each row. Rows of one customer stay together in a split that is not by time.
    seed : int
    named : str, optional
        Name of the label's column, for the error message.
    grace_days : int, default=30
        Days after a row's window until its outcome is known.
    order : ndarray of uint64, shape (n_rows,), optional
        Hash of each row's customer (`stable_order`): a split that is not by time is by it, so that a customer stays on
        one side in later trainings. At random by default.

    Returns
    -------
    split : Split

    Raises
    ------
    InsufficientData
        If the training rows or the test rows have too few leavers or stayers.
    """
    _require_both_classes(label, groups, as_of, MIN_ROWS, "labelled", named)
    newest_first = periods(as_of) if as_of is not None else []
    if as_of is not None and len(newest_first) > 1:
        split = _by_time(label, as_of, groups, newest_first, grace_days)
    else:
        is_test = _lowest_hashes(label, groups, order if order is not None else _random_order(groups, seed))
        split = Split("stratified", np.arange(len(label)), np.flatnonzero(~is_test), np.flatnonzero(is_test))
    for rows, least, name in ((split.training, MIN_TRAINING, "training"), (split.test, MIN_TEST, "test")):
        _require_both_classes(label[rows], groups[rows], None if as_of is None else as_of[rows], least, name)
    return split


def periods(as_of: Dates) -> list[np.datetime64]:
    """The first date of each period, the newest first; a period holds the dates within 27 days before its last one.

    Monthly snapshots are a period each. A month of weekly or daily snapshots is one period.

    Examples
    --------
    >>> periods(np.array(["2026-01-01", "2026-02-20", "2026-02-27", "2026-03-01"], dtype="datetime64[D]"))
    [np.datetime64('2026-02-20'), np.datetime64('2026-01-01')]
    """
    firsts, end = [], None
    for date in np.unique(as_of)[::-1]:
        if end is not None and end - date < np.timedelta64(MIN_DAYS_APART, "D"):
            firsts[-1] = date
        else:
            firsts.append(date)
            end = date
    return firsts


def _by_time(label: Labels, as_of: Dates, groups: Ints, newest_first: list[np.datetime64], grace_days: int) -> Split:
    most = max(1, min(MAX_TEST_PERIODS, len(newest_first) // TEST_PARTS))
    known_after = np.timedelta64(HORIZON_DAYS + grace_days, "D")
    for count in range(most, 0, -1):
        start = newest_first[count - 1]
        is_training = as_of + known_after <= start
        if count_leavers(label[is_training], groups[is_training], as_of[is_training]) >= ENOUGH_LEAVERS:
            break
    leavers = count_leavers(label[is_training], groups[is_training], as_of[is_training])
    labels_known = leavers >= MIN_TRAINING and np.count_nonzero(label[is_training] == 0) >= MIN_TRAINING
    if not labels_known:
        is_training = as_of + np.timedelta64(MIN_DAYS_APART, "D") <= start
    training, test = np.flatnonzero(is_training), np.flatnonzero(as_of >= start)
    return Split("time", np.arange(len(label)), training, test, labels_known=bool(labels_known))


def _lowest_hashes(label: Labels, groups: Ints, order: Hashes) -> Flags:
    """Mark the quarter of the groups with the lowest hashes, among groups with leavers and among those without."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    has_leaver = np.bincount(inverse, weights=label) > 0
    chosen = np.zeros(len(first), dtype=bool)
    for members in (np.flatnonzero(has_leaver), np.flatnonzero(~has_leaver)):
        by_hash = members[np.argsort(order[first[members]], kind="stable")]
        chosen[by_hash[: round(len(members) / TEST_PARTS)]] = True
    return np.asarray(chosen[inverse])


def _random_order(groups: Ints, seed: int) -> Hashes:
    _, inverse = np.unique(groups, return_inverse=True)
    draws = np.random.default_rng(seed).permutation(int(inverse.max(initial=-1)) + 1)
    return draws.astype(np.uint64)[inverse]


def _require_both_classes(
    label: Labels, groups: Ints, as_of: Dates | None, least: int, rows: str, named: str | None = None
) -> None:
    leavers = count_leavers(label, groups, as_of)
    stayers = int(np.count_nonzero(label == 0))
    if leavers < least or stayers < least:
        # A table with only one outcome usually means that the label was read wrongly.
        which = f" '{named}'" if named else ""
        where = " (`positive` in the schema)" if named else ""
        advice = f" Check which values of the label{which} mean that the customer left{where}."
        raise InsufficientData(
            f"The {rows} rows hold {leavers} leavers and {stayers} stayers; at least {least} of each are needed."
            + (advice if 0 in (leavers, stayers) else "")
        )


def fold_rows(label: Labels, groups: Ints, seed: int) -> Folds:
    """Assign training rows to the folds of cross-validation.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    groups : ndarray of int64, shape (n_rows,)
        Rows of one group share their fold.
    seed : int

    Returns
    -------
    folds : ndarray of int8, shape (n_rows,)
        From 0 to 4; from 0 to 2 if there are 60,000 rows or more.

    Raises
    ------
    InsufficientData
        If a fold would have no leavers or no stayers.
    """
    parts = FOLDS if len(label) < MANY_ROWS else FOLDS_OF_MANY_ROWS
    folds = stratified_group_folds(groups, label, parts, seed)
    leavers = np.bincount(folds, weights=label, minlength=parts)
    rows = np.bincount(folds, minlength=parts)
    if (leavers < 1).any() or (rows - leavers < 1).any():
        raise InsufficientData(
            f"{int(label.sum())} leavers and {int(len(label) - label.sum())} stayers belong to too few customers to "
            f"form {parts} folds with both in each."
        )
    return folds

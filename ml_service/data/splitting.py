"""Splitting: training and test rows, and the folds of cross-validation.

Law: no customer is on both sides of a split, unless the split is by time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from ml_service.arrays import Dates, Floats, Folds, Ints, Labels
from shared.errors import InsufficientData

#: Minimum numbers of leavers and of stayers: in all rows, in the training rows and in the test rows.
MIN_ROWS, MIN_TRAINING, MIN_TEST = 25, 15, 5
#: Number of folds; fewer on large tables, where more training rows per fold change nothing.
FOLDS, FOLDS_OF_MANY_ROWS, MANY_ROWS = 5, 3, 60_000
TEST_PARTS = 4
#: If at least this share of the rows is distinct, identical rows are copies rather than coincidences.
MIN_DISTINCT_SHARE = 0.5


@dataclass(frozen=True)
class Split:
    """Training and test rows.

    Attributes
    ----------
    kind : {"time", "stratified"}
    training : ndarray of int64, shape (n_training,)
        Positions of the training rows, in ascending order.
    test : ndarray of int64, shape (n_test,)
        Positions of the test rows, in ascending order.
    """

    kind: Literal["time", "stratified"]
    training: Ints
    test: Ints


def customer_groups(row_keys: pa.Array | pa.ChunkedArray, values: Floats) -> Ints:
    """Group the rows that must stay together in a split.

    Rows with the same key belong to one customer. In a table without keys, or with one row per key, rows are grouped if
    all their values are the same: the table can contain a row twice, and the copy would give the answer away. If fewer
    than half of its rows are distinct, identical rows are coincidences, and each row is a customer.

    Parameters
    ----------
    row_keys : pyarrow array of int64, length n_rows
        Null where a row has no key.
    values : ndarray of float64, shape (n_rows, n_features)
        The model's matrix.

    Returns
    -------
    groups : ndarray of int64, shape (n_rows,)
        The same number for rows of one group.
    """
    has_key = row_keys.is_valid().to_numpy(zero_copy_only=False)
    groups = np.empty(len(values), dtype=np.int64)
    keys, groups[has_key] = np.unique(np.asarray(row_keys.drop_null(), dtype=np.int64), return_inverse=True)
    identical = _identical_rows(values)
    if len(keys) == has_key.sum() and len(np.unique(identical)) >= MIN_DISTINCT_SHARE * len(values):
        # One row per key: rows of one customer under two keys stay together as well.
        return identical
    without = np.flatnonzero(~has_key)
    copies = len(np.unique(identical[without])) >= MIN_DISTINCT_SHARE * len(without)
    groups[without] = len(values) + (identical[without] if copies else np.arange(len(without)))
    return groups


def _identical_rows(values: Floats) -> Ints:
    # Compared as bytes, so that missing values are equal.
    rows = np.ascontiguousarray(values).view(np.dtype((np.void, values.shape[1] * 8))).ravel()
    return np.asarray(np.unique(rows, return_inverse=True)[1], dtype=np.int64)


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


def split_rows(label: Labels, as_of: Dates | None, groups: Ints, seed: int, *, named: str | None = None) -> Split:
    """Split rows into training and test rows.

    With more than one date, the rows of the newest quarter of the distinct dates (at least one date) are the test rows;
    otherwise a random quarter of the groups, stratified by label.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    as_of : ndarray of datetime64[D], shape (n_rows,), or None
        Date of each row.
    groups : ndarray of int64, shape (n_rows,)
        Rows of one group stay together in a split that is not by time.
    seed : int
    named : str, optional
        Name of the label's column, for the error message.

    Returns
    -------
    split : Split

    Raises
    ------
    InsufficientData
        If the training rows or the test rows have too few leavers or stayers.
    """
    _require_both_classes(label, MIN_ROWS, "labelled", named)
    dates = np.unique(as_of) if as_of is not None else np.array([], dtype="datetime64[D]")
    if as_of is not None and len(dates) > 1:
        newest = max(1, (len(dates) + 2) // TEST_PARTS)
        is_test = as_of >= dates[-newest]
        split = Split("time", np.flatnonzero(~is_test), np.flatnonzero(is_test))
    else:
        is_test = stratified_group_folds(groups, label, TEST_PARTS, seed) == 0
        split = Split("stratified", np.flatnonzero(~is_test), np.flatnonzero(is_test))
    _require_both_classes(label[split.training], MIN_TRAINING, "training")
    _require_both_classes(label[split.test], MIN_TEST, "test")
    return split


def _require_both_classes(label: Labels, least: int, rows: str, named: str | None = None) -> None:
    leavers = int(np.count_nonzero(label))
    stayers = len(label) - leavers
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

"""Grouping: which rows belong to one customer, and an order of customers that never changes.

Law: rows that could give each other away are in one group.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml_service.arrays import Floats, Hashes, Ints

#: If at least this share of the rows is distinct, identical rows are copies rather than coincidences.
MIN_DISTINCT_SHARE = 0.5


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


def stable_order(row_keys: pa.Array | pa.ChunkedArray, groups: Ints, seed: int) -> Hashes | None:
    """Hash the customer of each row, so that a split by hash is the same in every training.

    Parameters
    ----------
    row_keys : pyarrow array of int64, length n_rows
    groups : ndarray of int64, shape (n_rows,)
        The customer of each row; a group has the hash of its lowest key.
    seed : int

    Returns
    -------
    order : ndarray of uint64, shape (n_rows,), or None
        None if a row has no key.
    """
    if row_keys.null_count:
        return None
    _, inverse = np.unique(groups, return_inverse=True)
    lowest = np.full(int(inverse.max(initial=-1)) + 1, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(lowest, inverse, np.asarray(row_keys, dtype=np.int64))
    mixed = lowest.view(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    # The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31)))[inverse])

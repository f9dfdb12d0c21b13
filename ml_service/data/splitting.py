"""Which rows train, which test, which fold holds a row.

Law: no customer stands on both sides of a split that is not by time; labels deal rows evenly, they choose none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from ml_service.arrays import Dates, Floats, Folds, Ints, Labels
from shared.errors import InsufficientData

#: Leavers, and stayers: over all rows, and of each side of the split.
LEAST_ROWS, LEAST_TRAINING, LEAST_TEST = 25, 15, 5
#: Folds; of many rows fewer, where a third more to learn from changes nothing.
FOLDS, FOLDS_OF_MANY, MANY = 5, 3, 60_000
TEST_PARTS = 4
#: Share of distinct rows from which on a repeated row is a copy and no coincidence.
MOSTLY_DISTINCT = 0.5


@dataclass(frozen=True)
class Split:
    """Positions of the rows of each side, ascending."""

    kind: Literal["time", "stratified"]
    training: Ints
    test: Ints


def customer_groups(row_keys: pa.Array | pa.ChunkedArray, values: Floats) -> Ints:
    """A number per row, the same for rows that may not be parted.

    Rows of one key belong to one customer. Rows without a key are taken for the same customer where all their values
    are the same: a table without ids may hold a row twice, and the copy would tell the answer. So are rows of a table
    with one row per key, unless its values are so few that most rows have their like.

    Parameters
    ----------
    row_keys
        int64, shape (rows,); null where there is none.
    values
        The model's matrix, shape (rows, features).
    """
    keyed = row_keys.is_valid().to_numpy(zero_copy_only=False)
    groups = np.empty(len(values), dtype=np.int64)
    keys, groups[keyed] = np.unique(np.asarray(row_keys.drop_null(), dtype=np.int64), return_inverse=True)
    alike = _alike(values)
    if len(keys) == keyed.sum() and len(np.unique(alike)) >= MOSTLY_DISTINCT * len(values):
        # One row per customer: a customer who is there twice under two ids is kept whole too.
        return alike
    groups[~keyed] = alike[~keyed] + len(values)
    return groups


def _alike(values: Floats) -> Ints:
    # Bytes, not numbers: a missing value equals a missing value.
    rows = np.ascontiguousarray(values).view(np.dtype((np.void, values.shape[1] * 8))).ravel()
    return np.asarray(np.unique(rows, return_inverse=True)[1], dtype=np.int64)


def deal(groups: Ints, label: Labels, parts: int, seed: int) -> Folds:
    """Deal rows into parts of like size and like prevalence, each group whole.

    Parameters
    ----------
    groups
        Shape (rows,); rows of one value stay together.

    Returns
    -------
    int8 array, shape (rows,), values 0 to parts - 1
    """
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    leavers = np.bincount(inverse, weights=label, minlength=len(sizes))
    rng = np.random.default_rng(seed)
    alike = np.lexsort((rng.random(len(sizes)), sizes, leavers))
    rounds = -(-len(sizes) // parts)
    hands = rng.permuted(np.tile(np.arange(parts, dtype=np.int8), (rounds, 1)), axis=1).ravel()
    part_of_group = np.empty(len(sizes), dtype=np.int8)
    part_of_group[alike] = hands[: len(sizes)]
    return np.asarray(part_of_group[inverse])


def split_rows(label: Labels, as_of: Dates | None, groups: Ints, seed: int, *, named: str | None = None) -> Split:
    """Part rows into training and test.

    With more than one date the newest quarter of the distinct dates (at least one) is the test; otherwise a quarter
    of the groups, stratified by label.

    Parameters
    ----------
    named
        The label's column in the table, for whoever has to look at it.

    Raises
    ------
    InsufficientData
        Where either side has too few leavers or stayers.
    """
    _demand(label, LEAST_ROWS, "labelled", named)
    dates = np.unique(as_of) if as_of is not None else np.array([], dtype="datetime64[D]")
    if as_of is not None and len(dates) > 1:
        newest = max(1, (len(dates) + 2) // TEST_PARTS)
        is_test = as_of >= dates[-newest]
        split = Split("time", np.flatnonzero(~is_test), np.flatnonzero(is_test))
    else:
        is_test = deal(groups, label, TEST_PARTS, seed) == 0
        split = Split("stratified", np.flatnonzero(~is_test), np.flatnonzero(is_test))
    _demand(label[split.training], LEAST_TRAINING, "training")
    _demand(label[split.test], LEAST_TEST, "test")
    return split


def _demand(label: Labels, least: int, side: str, named: str | None = None) -> None:
    leavers = int(np.count_nonzero(label))
    stayers = len(label) - leavers
    if leavers < least or stayers < least:
        # Somebody always stays and somebody always goes: one outcome only is a label that was read wrongly.
        which = f" '{named}'" if named else ""
        where = " (`positive` in the schema)" if named else ""
        advice = f" Check which values of the label{which} mean that the customer left{where}."
        raise InsufficientData(
            f"The {side} rows hold {leavers} leavers and {stayers} stayers; at least {least} of each are needed."
            + (advice if 0 in (leavers, stayers) else "")
        )


def fold_rows(label: Labels, groups: Ints, seed: int) -> Folds:
    """The fold that holds each training row, 0 to 4 (0 to 2 of 60,000 rows or more).

    Raises
    ------
    InsufficientData
        Where a fold, or what is left without it, would lack leavers or stayers: too few customers carry them.
    """
    parts = FOLDS if len(label) < MANY else FOLDS_OF_MANY
    folds = deal(groups, label, parts, seed)
    leavers = np.bincount(folds, weights=label, minlength=parts)
    rows = np.bincount(folds, minlength=parts)
    if (leavers < 1).any() or (rows - leavers < 1).any():
        raise InsufficientData(
            f"{int(label.sum())} leavers and {int(len(label) - label.sum())} stayers belong to too few customers to "
            f"be dealt into {parts} folds with some of each."
        )
    return folds

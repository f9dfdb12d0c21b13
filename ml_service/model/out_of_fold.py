"""The keys of training rows and the fold that held out each, so that these rows are scored out of fold.

Law: a training row that is recognised by its key is never scored by a booster that was trained on it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_service.arrays import Folds, Ints

#: Fold of a row that was not in training; the final booster scores it.
UNSEEN = -1
KEYS_FILE, FOLDS_FILE = "row_keys.npy", "row_folds.npy"


@dataclass(frozen=True)
class TrainingFolds:
    """Training rows by key.

    Attributes
    ----------
    keys : ndarray of int64, shape (n_keys,)
        In ascending order.
    folds : ndarray of int8, shape (n_keys,)
        The fold that held out the rows of each key.
    """

    keys: Ints
    folds: Folds

    @classmethod
    def from_keys(cls, row_keys: pa.Array | pa.ChunkedArray, folds: Folds) -> TrainingFolds:
        """Record the fold of each key.

        Parameters
        ----------
        row_keys : pyarrow array of int64, length n_rows
            Rows without a key (null) are left out.
        folds : ndarray of int8, shape (n_rows,)
            Rows with the same key are in the same fold.

        Returns
        -------
        training_folds : TrainingFolds
        """
        known = row_keys.is_valid().to_numpy(zero_copy_only=False)
        keys, first = np.unique(np.asarray(row_keys.drop_null(), dtype=np.int64), return_index=True)
        return cls(keys, folds[known][first])

    def fold_of(self, row_keys: pa.Array | pa.ChunkedArray) -> Folds:
        """Look up the fold of each row.

        Parameters
        ----------
        row_keys : pyarrow array of int64, length n_rows
            Null where a row has no key.

        Returns
        -------
        folds : ndarray of int8, shape (n_rows,)
            UNSEEN for a row that was not in training or has no key.
        """
        wanted = np.asarray(row_keys.fill_null(0), dtype=np.int64)
        if not len(self.keys):
            return np.full(len(wanted), UNSEEN, dtype=np.int8)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = (self.keys[at] == wanted) & row_keys.is_valid().to_numpy(zero_copy_only=False)
        return np.where(known, self.folds[at], np.int8(UNSEEN)).astype(np.int8)

    def files(self) -> dict[str, bytes]:
        """Both arrays in NumPy's file format, without pickle."""
        return {KEYS_FILE: _bytes(self.keys), FOLDS_FILE: _bytes(self.folds)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> TrainingFolds:
        """Read the arrays that `files` wrote.

        Parameters
        ----------
        files : mapping of str to bytes

        Returns
        -------
        training_folds : TrainingFolds
        """
        keys = np.load(io.BytesIO(files[KEYS_FILE]), allow_pickle=False)
        return cls(keys, np.load(io.BytesIO(files[FOLDS_FILE]), allow_pickle=False))


def _bytes(array: npt.NDArray[np.generic]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()

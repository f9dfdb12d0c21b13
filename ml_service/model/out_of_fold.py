"""Which rows a model was trained on, and the fold that had not seen each.

Law: a row that was in training is never scored by a model that had seen it, where that can be told by its key.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_service.arrays import Folds, Ints

#: The fold of a row that was not in training: the final model scores it.
UNSEEN = -1
KEYS_FILE, FOLDS_FILE = "row_keys.npy", "row_folds.npy"


@dataclass(frozen=True)
class SeenRows:
    """Keys of training rows, ascending, and the fold that held each out."""

    keys: Ints
    folds: Folds

    @classmethod
    def of(cls, row_keys: pa.Array | pa.ChunkedArray, folds: Folds) -> SeenRows:
        """Remember rows that have a key; rows of one key share their fold."""
        known = row_keys.is_valid().to_numpy(zero_copy_only=False)
        keys, first = np.unique(np.asarray(row_keys.drop_null(), dtype=np.int64), return_index=True)
        return cls(keys, folds[known][first])

    def fold_of(self, row_keys: pa.Array | pa.ChunkedArray) -> Folds:
        """The fold of each row, UNSEEN where it was not in training or has no key. Shape (rows,)."""
        asked = np.asarray(row_keys.fill_null(0), dtype=np.int64)
        if not len(self.keys):
            return np.full(len(asked), UNSEEN, dtype=np.int8)
        at = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        known = (self.keys[at] == asked) & row_keys.is_valid().to_numpy(zero_copy_only=False)
        return np.where(known, self.folds[at], np.int8(UNSEEN)).astype(np.int8)

    def files(self) -> dict[str, bytes]:
        """The two arrays in NumPy's own format, which holds numbers only."""
        return {KEYS_FILE: _bytes(self.keys), FOLDS_FILE: _bytes(self.folds)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> SeenRows:
        """Read what `files` wrote."""
        keys = np.load(io.BytesIO(files[KEYS_FILE]), allow_pickle=False)
        return cls(keys, np.load(io.BytesIO(files[FOLDS_FILE]), allow_pickle=False))


def _bytes(array: npt.NDArray[np.generic]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=False)
    return sink.getvalue()

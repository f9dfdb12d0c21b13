"""The boosters of a model at work: margins and contributions of rows, each by the booster that may score it.

Law: rows are grouped by booster and cut into chunks; neither changes a bit of any row's answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from ml_service.seen_rows import UNSEEN

Floats = npt.NDArray[np.float64]
Folds = npt.NDArray[np.int8]
Rows = npt.NDArray[np.intp]

CHUNK_ROWS = 25_000
MODEL_FILE = "model.ubj"


def _fold_file(fold: int) -> str:
    return f"fold_{fold}.ubj"


@dataclass(frozen=True)
class Contributions:
    """SHAP values of a block of rows: which rows, the base of their booster, and shape (rows, features)."""

    rows: Rows
    base_margin: float
    values: Floats


class Trees:
    """The final booster and, where they are kept, those of the folds.

    Parameters
    ----------
    final
        Scores whatever was not in training.
    folds
        The k-th has not seen the rows of fold k.
    feature_types
        q for numbers, c for categories.
    """

    def __init__(
        self, final: xgb.Booster, folds: Sequence[xgb.Booster], *, feature_types: list[str], threads: int
    ) -> None:
        self._types, self._threads = feature_types, threads
        self._boosters: dict[int, xgb.Booster] = {UNSEEN: final, **dict(enumerate(folds))}
        for booster in self._boosters.values():
            booster.set_param({"nthread": threads})
        nothing = np.full((1, len(feature_types)), np.nan)
        # The last column that xgboost gives is the base; it is the same for every row of a booster.
        self._bases = {fold: float(self._shap(fold, nothing)[0, -1]) for fold in self._boosters}

    @property
    def base_margin(self) -> float:
        """What the final booster's contributions are counted from, log-odds."""
        return self._bases[UNSEEN]

    def margins(self, values: Floats, folds: Folds) -> Floats:
        """Log-odds before calibration, shape (rows,)."""
        margins = np.empty(len(values), dtype=np.float64)
        for rows, fold in self._blocks(folds):
            margins[rows] = self._boosters[fold].predict(self._data(values[rows]), output_margin=True)
        return margins

    def contributions(self, values: Floats, folds: Folds) -> Iterator[Contributions]:
        """Exact path-dependent SHAP values, block by block; base + sum is the margin to 1e-5."""
        for rows, fold in self._blocks(folds):
            yield Contributions(rows, self._bases[fold], self._shap(fold, values[rows])[:, :-1])

    def files(self) -> dict[str, bytes]:
        """Each booster in UBJSON."""
        names = {fold: MODEL_FILE if fold == UNSEEN else _fold_file(fold) for fold in self._boosters}
        return {names[fold]: bytes(booster.save_raw("ubj")) for fold, booster in self._boosters.items()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, feature_types: list[str], threads: int) -> Self:
        """Read what `files` wrote."""
        folds: list[xgb.Booster] = []
        while _fold_file(len(folds)) in files:
            folds.append(_booster(files[_fold_file(len(folds))]))
        return cls(_booster(files[MODEL_FILE]), folds, feature_types=feature_types, threads=threads)

    def _blocks(self, folds: Folds) -> Iterator[tuple[Rows, int]]:
        for fold in self._boosters:
            rows = np.flatnonzero(folds == fold)
            for start in range(0, len(rows), CHUNK_ROWS):
                yield rows[start : start + CHUNK_ROWS], fold

    def _data(self, values: Floats) -> xgb.DMatrix:
        return xgb.DMatrix(values, feature_types=self._types, enable_categorical=True, nthread=self._threads)

    def _shap(self, fold: int, values: Floats) -> Floats:
        return np.asarray(self._boosters[fold].predict(self._data(values), pred_contribs=True), dtype=np.float64)


def _booster(raw: bytes) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(raw))
    return booster
